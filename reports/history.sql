-- What campaigns did and found out: the one place that reports are rendered from, so that every number
-- in a report can be asked for with a query. Units are seconds, bytes and counts; times of day are UTC,
-- ISO 8601. PRAGMA user_version is the schema's version; history.py migrates older ones.
--
-- Nothing is counted twice, whenever the machine dies: a row holds what its session, campaign or finding
-- came to in all, never what was added, and is written in one transaction with what belongs to it.

CREATE TABLE versions (            -- of what was tested
  id INTEGER PRIMARY KEY,
  assay TEXT NOT NULL,             -- commit of the sources, `+` behind it if changed
  strategy TEXT NOT NULL,
  source TEXT NOT NULL,            -- hash of the strategy's sources (ci/provenance.py)
  UNIQUE (assay, strategy, source)
);

CREATE TABLE campaigns (
  id INTEGER PRIMARY KEY,
  uuid TEXT NOT NULL UNIQUE,       -- names its folder below campaigns/
  command TEXT NOT NULL,           -- overnight, fuzz, pr, bugs, bench, footprint
  started TEXT NOT NULL,
  ended TEXT,                      -- null: it runs, or was cut off and can be resumed
  state TEXT NOT NULL DEFAULT 'running',  -- running, ended, stopped
  stopped TEXT NOT NULL DEFAULT '',       -- the signal, or what else ended it early
  error TEXT NOT NULL DEFAULT '',  -- what broke it off, such as a full disk
  seconds_asked REAL NOT NULL DEFAULT 0,
  cores INTEGER NOT NULL DEFAULT 0,
  seed INTEGER NOT NULL DEFAULT 0,
  assay TEXT NOT NULL DEFAULT '',  -- version of the sources
  machine TEXT NOT NULL DEFAULT '',       -- processor and system, in words
  options TEXT NOT NULL DEFAULT '{}',     -- JSON: what it takes to resume
  plant TEXT NOT NULL DEFAULT '',  -- the planted bug that was fuzzed
  checkpoint INTEGER NOT NULL DEFAULT 0   -- counts record.json's: the one with more knows more
);

CREATE TABLE properties (          -- that the oracle had then; what `assay list --json` said
  campaign INTEGER NOT NULL REFERENCES campaigns ON DELETE CASCADE,
  property TEXT NOT NULL,          -- also each invariant:<strategy>.I<n>
  position INTEGER NOT NULL,       -- its place in the oracle's list, or n
  text TEXT NOT NULL,              -- what is wrong, in words
  PRIMARY KEY (campaign, property)
) WITHOUT ROWID;

CREATE TABLE strategies (
  campaign INTEGER NOT NULL REFERENCES campaigns ON DELETE CASCADE,
  strategy TEXT NOT NULL,
  position INTEGER NOT NULL,       -- its place in the registry
  summary TEXT NOT NULL,
  traits TEXT NOT NULL,            -- separated by blanks
  file TEXT NOT NULL DEFAULT '',   -- its own source, from the sources' root
  PRIMARY KEY (campaign, strategy)
) WITHOUT ROWID;

CREATE TABLE applicable (          -- properties that a strategy with these traits can violate
  campaign INTEGER NOT NULL REFERENCES campaigns ON DELETE CASCADE,
  strategy TEXT NOT NULL,
  property TEXT NOT NULL,
  PRIMARY KEY (campaign, strategy, property)
) WITHOUT ROWID;

CREATE TABLE campaign_versions (
  campaign INTEGER NOT NULL REFERENCES campaigns ON DELETE CASCADE,
  version INTEGER NOT NULL REFERENCES versions,
  PRIMARY KEY (campaign, version)
);

CREATE TABLE runs (                -- processes of the supervisor: resuming adds one
  id INTEGER PRIMARY KEY,
  campaign INTEGER NOT NULL REFERENCES campaigns ON DELETE CASCADE,
  started TEXT NOT NULL,
  seconds REAL NOT NULL DEFAULT 0,        -- wall time so far
  cpu_seconds REAL NOT NULL DEFAULT 0,    -- of the supervisor itself, without children
  judge_cpu_seconds REAL NOT NULL DEFAULT 0,  -- of judging and minimising
  ended TEXT,                      -- null: it runs, or was killed
  how TEXT NOT NULL DEFAULT ''     -- ended, stopped, killed (which its successor enters)
);

CREATE TABLE phases (              -- what a campaign does one after the other; each can be resumed
  campaign INTEGER NOT NULL REFERENCES campaigns ON DELETE CASCADE,
  name TEXT NOT NULL,              -- replay, fuzz, settle, minimise, coverage, power, benchmarks, footprint
  state TEXT NOT NULL DEFAULT 'begun',    -- begun, done, skipped, failed
  seconds REAL NOT NULL DEFAULT 0,
  note TEXT NOT NULL DEFAULT '',   -- why skipped or failed
  PRIMARY KEY (campaign, name)
);

CREATE TABLE jobs (                -- strategy x engine x sanitizer
  id INTEGER PRIMARY KEY,
  campaign INTEGER NOT NULL REFERENCES campaigns ON DELETE CASCADE,
  strategy TEXT NOT NULL,
  engine TEXT NOT NULL,            -- libfuzzer, afl; corpus: replay of stored inputs
  sanitizer TEXT NOT NULL,         -- none, address (with undefined behaviour), memory, thread
  share REAL NOT NULL DEFAULT 0,   -- seconds of a core that it was to get, where that was fixed
  problem TEXT NOT NULL DEFAULT '',       -- why it could not run, or not go on
  note TEXT NOT NULL DEFAULT '',
  not_started INTEGER NOT NULL DEFAULT 0, -- the campaign ended before its turn came
  UNIQUE (campaign, strategy, engine, sanitizer)
);

CREATE TABLE sessions (            -- processes of an engine
  id INTEGER PRIMARY KEY,
  job INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
  run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  role TEXT NOT NULL DEFAULT '',   -- of AFL++: main or secondary
  seed INTEGER NOT NULL DEFAULT 0,
  began REAL NOT NULL,             -- campaign seconds: wall time of all runs until then
  seconds REAL NOT NULL DEFAULT 0, -- wall time
  cpu_seconds REAL NOT NULL DEFAULT 0,
  executions INTEGER NOT NULL DEFAULT 0,  -- by the target's own count where it has one
  operations INTEGER NOT NULL DEFAULT 0,  -- of programs, carried out
  coverage INTEGER,                -- edges as the engine counts them
  features INTEGER,                -- what else it counts as new
  crashes INTEGER NOT NULL DEFAULT 0,     -- inputs that failed
  peak_memory INTEGER NOT NULL DEFAULT 0, -- resident bytes, all its processes
  exit_code INTEGER,
  state TEXT NOT NULL DEFAULT 'running',  -- running, ended, lost (its supervisor was killed)
  how TEXT NOT NULL DEFAULT ''     -- over, stopped, crash, hang, memory, died
);

CREATE TABLE exercised (           -- how often a session judged a property
  session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
  property TEXT NOT NULL,
  times INTEGER NOT NULL,
  PRIMARY KEY (session, property)
) WITHOUT ROWID;

CREATE TABLE state_hits (          -- abstract states of the heap that fuzzing saw, and how often
  campaign INTEGER NOT NULL REFERENCES campaigns ON DELETE CASCADE,
  strategy TEXT NOT NULL,
  state INTEGER NOT NULL,          -- its hash
  hits INTEGER NOT NULL,
  PRIMARY KEY (campaign, strategy, state)
) WITHOUT ROWID;

CREATE TABLE samples (             -- growth over time, of a session
  session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
  at REAL NOT NULL,                -- campaign seconds
  cpu_seconds REAL NOT NULL,       -- of the session until then; so are the others
  executions INTEGER NOT NULL,
  operations INTEGER NOT NULL,
  coverage INTEGER,
  features INTEGER,
  corpus INTEGER,                  -- inputs kept for the strategy
  states INTEGER,                  -- abstract states seen by this session
  memory INTEGER,                  -- resident bytes
  PRIMARY KEY (session, at)
) WITHOUT ROWID;

CREATE TABLE findings (            -- one per identity
  id INTEGER PRIMARY KEY,
  strategy TEXT NOT NULL,
  property TEXT NOT NULL,
  signature TEXT NOT NULL,         -- eight hexadecimal digits
  name TEXT NOT NULL,              -- of its file: <property>-<signature>-<sha1>
  path TEXT NOT NULL,              -- of the program's file, from the campaign folder
  diagnosis TEXT NOT NULL DEFAULT '',
  site TEXT NOT NULL DEFAULT '',   -- where it showed, in words
  file TEXT NOT NULL DEFAULT '',   -- the guilty line, where ASan or the walk knows it, from the sources' root
  line INTEGER,
  function TEXT NOT NULL DEFAULT '',
  guilty TEXT NOT NULL DEFAULT '', -- what that line is, in words
  operations INTEGER,              -- of the minimal program
  build TEXT NOT NULL DEFAULT 'assay',
  tier TEXT NOT NULL DEFAULT 'full',
  first_visible TEXT NOT NULL DEFAULT '',
  stored TEXT NOT NULL,            -- when
  assay TEXT NOT NULL DEFAULT '',  -- version of the sources then
  source TEXT NOT NULL DEFAULT '', -- hash of the strategy's sources then
  text TEXT NOT NULL DEFAULT '',   -- the minimal program, or the log's end of a flaky finding
  c_program TEXT NOT NULL DEFAULT '',
  explanation TEXT NOT NULL DEFAULT '',   -- what `assay repro` tells
  story TEXT NOT NULL DEFAULT '',  -- JSON of `assay repro --json`
  UNIQUE (strategy, property, signature)
);

CREATE TABLE campaign_findings (   -- what a campaign says of a finding
  campaign INTEGER NOT NULL REFERENCES campaigns ON DELETE CASCADE,
  finding INTEGER NOT NULL REFERENCES findings ON DELETE CASCADE,
  status TEXT NOT NULL,            -- new, known, fixed, flaky
  reason TEXT NOT NULL DEFAULT '', -- of a known one: why it is accepted
  expires TEXT NOT NULL DEFAULT '',       -- and until which day
  replays INTEGER NOT NULL DEFAULT 0,     -- in fresh processes
  same INTEGER NOT NULL DEFAULT 0, -- how many of them showed this identity
  engine TEXT NOT NULL DEFAULT '', -- the first to find it here
  sanitizer TEXT NOT NULL DEFAULT '',
  executions INTEGER,              -- of that job until then
  seconds REAL,                    -- campaign seconds; null: only replayed
  PRIMARY KEY (campaign, finding)
) WITHOUT ROWID;

CREATE TABLE sightings (           -- inputs that showed a finding
  campaign INTEGER NOT NULL REFERENCES campaigns ON DELETE CASCADE,
  finding INTEGER NOT NULL REFERENCES findings ON DELETE CASCADE,
  input TEXT NOT NULL,             -- SHA-1 of its bytes
  job INTEGER REFERENCES jobs ON DELETE CASCADE,
  PRIMARY KEY (campaign, finding, input)
) WITHOUT ROWID;

CREATE TABLE line_coverage (       -- of the strategies' own sources, by all that the corpus holds
  campaign INTEGER NOT NULL REFERENCES campaigns ON DELETE CASCADE,
  strategy TEXT NOT NULL,
  file TEXT NOT NULL,              -- from the sources' root
  lines INTEGER NOT NULL,
  covered INTEGER NOT NULL,
  regions INTEGER NOT NULL,
  regions_covered INTEGER NOT NULL,
  missing TEXT NOT NULL DEFAULT '[]',     -- JSON: numbers of the lines that never ran
  PRIMARY KEY (campaign, strategy, file)
) WITHOUT ROWID;

CREATE TABLE kills (               -- what planted and historical bugs say of the search and the oracle
  campaign INTEGER NOT NULL REFERENCES campaigns ON DELETE CASCADE,
  bug TEXT NOT NULL,               -- <strategy>+<name>
  strategy TEXT NOT NULL,
  expected TEXT NOT NULL,          -- properties that may report it, separated by blanks
  engine TEXT NOT NULL,
  mutator TEXT NOT NULL DEFAULT '',
  seed INTEGER NOT NULL,
  killed INTEGER NOT NULL,         -- 1: by an expected property
  property TEXT NOT NULL DEFAULT '',      -- that reported it
  executions INTEGER,
  cpu_seconds REAL,
  assay TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (campaign, bug, engine, mutator, seed)
) WITHOUT ROWID;

CREATE TABLE benchmarks (
  campaign INTEGER NOT NULL REFERENCES campaigns ON DELETE CASCADE,
  strategy TEXT NOT NULL,          -- or another allocator that was measured beside them
  variant TEXT NOT NULL DEFAULT '',
  workload TEXT NOT NULL,
  metric TEXT NOT NULL,            -- time, memory, worst-operation, ...
  unit TEXT NOT NULL,
  value REAL NOT NULL,             -- the median
  low REAL, high REAL,             -- quartiles
  rounds INTEGER NOT NULL DEFAULT 1,
  assay TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (campaign, strategy, variant, workload, metric)
) WITHOUT ROWID;

CREATE TABLE footprints (          -- what allocators and collections take of a machine
  campaign INTEGER NOT NULL REFERENCES campaigns ON DELETE CASCADE,
  subject TEXT NOT NULL,           -- a strategy, a collection, or what they stand on
  kind TEXT NOT NULL,              -- strategy, collection, part
  world TEXT NOT NULL,             -- cortex_m3, riscv32, linux_aarch64, linux_x86_64
  operation TEXT NOT NULL,         -- empty: of the subject as a whole
  metric TEXT NOT NULL,            -- code, data, stack: bytes; instructions
  value INTEGER NOT NULL,          -- of an operation: the most that a call took
  calls INTEGER NOT NULL DEFAULT 0,       -- that were measured
  PRIMARY KEY (campaign, subject, world, operation, metric)
) WITHOUT ROWID;

CREATE INDEX sessions_of_job ON sessions (job);
CREATE INDEX sightings_of_finding ON sightings (finding, campaign);
