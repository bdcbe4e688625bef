"""What a killed supervisor left behind, accounted for: once, whatever happens meanwhile.

A session whose row says `running` although its supervisor is gone: its engine is ended, its suspects
go to the detective's queue, its inputs into the corpus, and then one transaction makes the row final.
Killed before that, the next one does it all again: a suspect is known by its bytes, an input by its
name, and numbers are replaced.
"""
import datetime
import json
import os
import shutil

from ci import campaign, corpus_folder, engine_session, process
from ci.engine_kinds import ENGINES

# Seconds that a file system's clock may be behind.
_SLACK = 60


def recover(history, folder, report, programs=None):
    """Accounts for all sessions that nobody watches. `report` takes each Suspect, and has it on the
    disk when it returns; `programs`: {(strategy, engine, sanitizer): the fuzz target}. Returns how
    many sessions there were."""
    orphans = history.query(
        "SELECT s.*, j.strategy, j.engine, j.sanitizer, r.started FROM sessions s "
        "JOIN jobs j ON j.id = s.job JOIN runs r ON r.id = s.run "
        "WHERE s.state = 'running' ORDER BY s.id")
    for variable, path in (("ASSAY_COUNTERS", folder.join("sessions")),
                           ("ASSAY_COVER", folder.join("cover"))):
        process.kill_marked(("%s=%s%s" % (variable, path, os.sep)).encode())
    _sweep(history, folder, [row["started"] for row in orphans])
    for row in orphans:
        _recover_one(history, folder, row, report, programs or {})
    _remove_leftovers(history, folder, report, programs or {})
    return len(orphans)


def _sweep(history, folder, since):
    """Corpora hold what was half written when the engines of such runs died, or the disk was full.
    `since`: when runs began, as the history says it."""
    last = history.one("SELECT started, how FROM runs WHERE ended IS NOT NULL ORDER BY id DESC LIMIT 1")
    if last and last["how"] != "ended":
        since = since + [last["started"]]
    if since:
        since = datetime.datetime.fromisoformat(min(since)).timestamp() - _SLACK
        for strategy in engine_session.names_in(folder.join("corpus")):
            corpus_folder.Corpus(folder.join("corpus", strategy)).sweep(since)


def _recover_one(history, folder, row, report, programs):
    work = campaign.session_folder(folder, row["id"])
    crashes = _harvest(folder, work, row, report, programs)
    counted = engine_session.read_counters(work)
    numbers = {"crashes": crashes or None}
    if counted:
        numbers.update(executions=counted.executions, operations=counted.operations)
    campaign.close_session(
        history, row["id"], numbers, "killed", "lost", counted.exercised if counted else None,
        counted.states if counted else None)
    campaign.remove_session_folder(folder, row["id"])


def _harvest(folder, work, row, report, programs):
    """Takes over the inputs and suspects below a session's folder; returns how many suspects. `row`
    has the job's key, and what else is known."""
    engine = ENGINES.get(row["engine"])
    if not engine or not os.path.isdir(work):
        return 0
    corpus = corpus_folder.Corpus(folder.join("corpus", row["strategy"]))
    for path in engine.kept(work):
        data = engine_session.read_input(path)
        if data is not None:
            corpus.add(data)
    crashes = 0
    for kind, path in engine.artefacts(work):
        data = engine_session.read_input(path)
        if data is None:
            continue
        crashes += 1
        report(engine_session.Suspect(
            row["strategy"], row["engine"], kind, data,
            programs.get((row["strategy"], row["engine"], row["sanitizer"]), ""),
            executions=row["executions"], sanitizer=row["sanitizer"], job=row["job"],
            session=row["id"]))
        corpus.ban(data)
    return crashes


def _remove_leftovers(history, folder, report, programs):
    """Folders whose rows were final before the folder was gone; and those without a row, which a
    history that was rebuilt does not know of."""
    known = {str(row["id"]) for row in history.query("SELECT id FROM sessions")}
    for name in engine_session.names_in(folder.join("sessions")):
        work = folder.join("sessions", name)
        if name not in known:
            try:
                with open(os.path.join(work, campaign.IDENTITY), encoding="utf-8") as f:
                    row = dict(json.load(f), executions=None, job=None, id=None)
                _harvest(folder, work, row, report, programs)
            except (OSError, ValueError, KeyError) as error:
                if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
                    raise
                # Killed before there was anything in it, or none of ours.
        shutil.rmtree(work, ignore_errors=True)
