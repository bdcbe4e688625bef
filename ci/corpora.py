"""The corpora of a campaign's strategies, and the replay of what they hold before engines start from it.

An input that fails would end each session of libFuzzer as it begins, and AFL++ does not start from
one at all: it goes to the detective and leaves the corpus.
"""
import math
import time

from ci import corpus_folder, engine_session, judge
from reports import results


class Corpora:
    """{strategy: Corpus}, in DIR/corpus; `seeds(strategy)` are the folders of inputs that each begins
    with."""

    def __init__(self, folder, strategies, seeds=lambda strategy: ()):
        self._corpora = {}
        self._sizes = {}         # strategy: (when to count again, inputs)
        for strategy in dict.fromkeys(strategies):
            corpus = corpus_folder.Corpus(folder.join("corpus", strategy))
            corpus.sweep(math.inf)
            corpus.start_from(seeds(strategy))
            self._corpora[strategy] = corpus

    def __getitem__(self, strategy):
        return self._corpora[strategy]

    def items(self):
        return self._corpora.items()

    def size(self, strategy):
        """Inputs kept for a strategy, or a while ago: listing many thousand files takes its time."""
        start = time.monotonic()
        due, size = self._sizes.get(strategy, (0, 0))
        if start >= due:
            size = len(self._corpora[strategy])
            now = time.monotonic()
            self._sizes[strategy] = now + 5 + 1000 * (now - start), size
        return size


def replay(campaign, corpora, detective, assay, stop=lambda: False, besides=()):
    """Runs what is stored on each strategy, and the files `besides`, from which no engine starts.
    Returns a results.Job of the engine `corpus` for each."""
    replayed = []
    for strategy, corpus in corpora.items():
        job = results.Job(strategy, "corpus", sanitizer="none")
        replayed.append(job)
        row = campaign.job((strategy, "corpus", "none"))
        if stop():
            job.not_started = True
            campaign.say_of(row, not_started=1)
            continue
        session, _ = campaign.open_session(row)
        start = time.monotonic()

        def ban(path):
            data = engine_session.read_input(path)
            job.crashes += 1
            if data is not None:
                detective.report(engine_session.Suspect(
                    strategy, "corpus", "crash", data, "", executions=job.executions,
                    sanitizer="none", job=row, session=session))
                corpus.ban(data)
        try:
            for judged, bad in assay.failing(strategy, [*corpus.paths(), *besides], stop):
                if bad:
                    ban(judged)
                else:
                    job.executions += judged
        except judge.CannotJudge as error:
            job.problem = str(error)
            campaign.say_of(row, problem=job.problem)
        job.seconds = time.monotonic() - start
        job.corpus = len(corpus)
        campaign.close_session(session, {
            "seconds": job.seconds, "executions": job.executions, "crashes": job.crashes,
        }, "died" if job.problem else "over", corpus=job.corpus)
    return replayed
