// Footprint: what each operation of a strategy takes at most, in instructions and in stack.
//
// Between the oracle and the strategy stands one that passes every call on and measures it, while
// the programs of the self-test and of the pack run as ever; once for instructions and once for the
// stack. What is not the strategy's is left out: the memory source beneath, what it calls back, and
// the measuring itself, which is what the same call of functions that do nothing takes.
#include "freestanding/footprint.h"

#include <string.h>

#include "allocators/registry.h"
#include "allocators/source_decorator.h"
#include "collections/print.h"
#include "freestanding/judge.h"
#include "freestanding/paint.h"
#include "freestanding/world.h"

#define OPERATIONS(X)                                                                              \
  X(create)                                                                                        \
  X(destroy)                                                                                       \
  X(allocate)                                                                                      \
  X(allocate_zeroed)                                                                               \
  X(release)                                                                                       \
  X(resize)                                                                                        \
  X(usable_size)                                                                                   \
  X(reset)                                                                                         \
  X(mark)                                                                                          \
  X(rollback)                                                                                      \
  X(collect)                                                                                       \
  X(close)                                                                                         \
  X(open)

#define NUMBER(name) AT_##name,
#define NAME(name) #name,
enum { OPERATIONS(NUMBER) OPERATION_COUNT };
static const char *const names[] = {OPERATIONS(NAME)};

// Strategies that one image may have, heaps that are open at a time, and bytes that no operation's
// stack reaches.
enum { STRATEGIES = 32, HEAPS = 8, STACK = sizeof(void *) > 4 ? 16384 : 1024 };

static struct worst {
  uint32_t calls, instructions;
  uint16_t stack;
} worst[STRATEGIES][OPERATION_COUNT];

static enum { CALIBRATING, INSTRUCTIONS, STACKS } mode;
static bool flawed;

// ## Of the strategy that is being measured

static const struct strategy *inner;
static struct strategy measured;
static struct worst *mine;
static struct worst nothing[OPERATION_COUNT];  // what the measuring of a call takes
static uint64_t outside;       // instructions of this call that are not the strategy's
static uint32_t outside_each;  // that leaving and coming back takes besides

struct call {
  struct allocator *self;
  void *block;
  size_t count, size, align;
  struct source *source;
  const struct strategy_options *options;
  const struct collection *collection;
  struct mark mark;
  union {
    void *block;
    size_t size;
    enum release_result released;
  } answer;
};

// ## The stack

static uintptr_t painted;  // where paint begins

static volatile uint32_t *deepest(void) {
  volatile uint32_t *word = (volatile uint32_t *)painted;
  while (*word == PAINT) word++;
  return word;
}

// ## What is not the strategy's

struct away {
  uint64_t since;
  volatile uint32_t *deepest;
};

static struct away leave(void) {
  struct away away = {0};
  if (mode == STACKS)
    away.deepest = painted ? deepest() : NULL;
  else
    away.since = world_instructions();
  return away;
}

static void come_back(struct away away) {
  if (mode != STACKS) {
    outside += world_instructions() - away.since + outside_each;
    return;
  }
  if (!away.deepest) return;
  volatile uint32_t *end;
  __asm__ volatile(PAINT_READ_STACK_POINTER : "=r"(end));
  if (away.deepest < end) end = away.deepest;
  for (volatile uint32_t *word = (volatile uint32_t *)painted; word < end; word++) *word = PAINT;
}

// A source that does all as the one beneath.
struct plain_source {
  struct source_decorator base;
  struct allocator *owner;
  void (*misuse)(void *context, const char *message);
  void *misuse_context;
};
static struct plain_source sources[HEAPS];

static void *source_acquire(struct source *self, size_t size) {
  struct away away = leave();
  void *memory = source_inner(self)->acquire(source_inner(self), size);
  come_back(away);
  return memory;
}

static void source_release(struct source *self, void *memory, size_t size) {
  struct away away = leave();
  source_inner(self)->release(source_inner(self), memory, size);
  come_back(away);
}

static size_t source_available(const struct source *self) {
  struct away away = leave();
  size_t size = source_inner(self)->available(source_inner(self));
  come_back(away);
  return size;
}

static void source_persist(struct source *self, const void *start, size_t size) {
  struct away away = leave();
  source_forward_persist(self, start, size);
  come_back(away);
}

static void *source_held(struct source *self, size_t *size) {
  struct away away = leave();
  void *memory = source_forward_held(self, size);
  come_back(away);
  return memory;
}

static bool source_protect(struct source *self, void *start, size_t size, bool accessible) {
  struct away away = leave();
  bool done = source_forward_protect(self, start, size, accessible);
  come_back(away);
  return done;
}

static void tell_misuse(void *context, const char *message) {
  const struct plain_source *source = context;
  struct away away = leave();
  source->misuse(source->misuse_context, message);
  come_back(away);
}

static struct plain_source *take_source(struct source *beneath) {
  for (struct plain_source *source = sources; source < sources + HEAPS; source++) {
    if (source->base.inner) continue;
    *source = (struct plain_source){.base = {source_like(beneath->name, beneath), beneath}};
    source->base.base.acquire = source_acquire;
    source->base.base.release = source_release;
    source->base.base.available = source_available;
    if (beneath->persist) source->base.base.persist = source_persist;
    if (beneath->held) source->base.base.held = source_held;
    if (beneath->protect) source->base.base.protect = source_protect;
    return source;
  }
  flawed = true;
  return NULL;
}

static void give_source(const struct allocator *owner) {
  for (struct plain_source *source = sources; source < sources + HEAPS; source++)
    if (source->base.inner && source->owner == owner) *source = (struct plain_source){0};
}

// A collector asks where references are, and tells whom it collects.
static const struct collection *asked;

static struct words trace(void *context, const void *block) {
  struct away away = leave();
  struct words words = asked->trace(context, block);
  come_back(away);
  return words;
}

static void collected(void *context, void *block) {
  struct away away = leave();
  asked->collected(context, block);
  come_back(away);
}

// ## The measuring

static void note(int operation, uint64_t instructions, size_t stack) {
  struct worst *at = mine + operation;
  const struct worst *least = nothing + operation;
  uint32_t more =
      instructions > least->instructions ? (uint32_t)instructions - least->instructions : 0;
  size_t deeper = stack > least->stack ? stack - least->stack : 0;
  if (mode == INSTRUCTIONS) at->calls++;
  if (mode == CALIBRATING || more > at->instructions) at->instructions = more;
  if (deeper > at->stack) at->stack = (uint16_t)deeper;
}

static __attribute__((noinline)) void measure(int operation, void (*body)(void *),
                                              struct call *call) {
  outside = 0;
  if (mode == STACKS) {
    char here = 0;
    painted = ((uintptr_t)&here - STACK) & ~(uintptr_t)15;
    size_t stack = paint_measure(painted, SIZE_MAX, body, call);
    if (*(volatile uint32_t *)painted != PAINT) flawed = true;
    painted = 0;
    note(operation, 0, stack);
    return;
  }
  uint64_t before = world_instructions();
  body(call);
  note(operation, world_instructions() - before - outside, 0);
}

#define BODY(name, does)                                                                           \
  static __attribute__((noinline)) void call_##name(void *context) {                               \
    struct call *call = context;                                                                   \
    does;                                                                                          \
  }
BODY(create, call->answer.block = inner->create(call->source, call->options))
BODY(open, call->answer.block = inner->open(call->source, call->options))
BODY(destroy, inner->destroy(call->self))
BODY(close, inner->close(call->self))
BODY(allocate, call->answer.block = inner->allocate(call->self, call->size, call->align))
BODY(allocate_zeroed,
     call->answer.block = inner->allocate_zeroed(call->self, call->count, call->size, call->align))
BODY(release, call->answer.released = inner->release(call->self, call->block))
BODY(resize, call->answer.block = inner->resize(call->self, call->block, call->size, call->align))
BODY(usable_size, call->answer.size = inner->usable_size(call->self, call->block))
BODY(reset, inner->reset(call->self))
BODY(mark, call->mark = inner->mark(call->self))
BODY(rollback, inner->rollback(call->self, call->mark))
BODY(collect, call->answer.size = inner->collect(call->self, call->collection))

#define MEASURE(name) measure(AT_##name, call_##name, &call)

static struct allocator *begin(struct source *beneath, const struct strategy_options *options,
                               int operation, void (*body)(void *)) {
  struct plain_source *source = take_source(beneath);
  if (!source) return NULL;
  struct strategy_options with = *options;
  source->misuse = options->misuse;
  source->misuse_context = options->misuse_context;
  if (options->misuse) {
    with.misuse = tell_misuse;
    with.misuse_context = source;
  }
  struct call call = {.source = &source->base.base, .options = &with};
  measure(operation, body, &call);
  source->owner = call.answer.block;
  if (!source->owner) *source = (struct plain_source){0};
  return call.answer.block;
}

static struct allocator *measured_create(struct source *source,
                                         const struct strategy_options *options) {
  return begin(source, options, AT_create, call_create);
}

static struct allocator *measured_open(struct source *source,
                                       const struct strategy_options *options) {
  return begin(source, options, AT_open, call_open);
}

static void measured_destroy(struct allocator *self) {
  struct call call = {.self = self};
  MEASURE(destroy);
  give_source(self);
}

static void measured_close(struct allocator *self) {
  struct call call = {.self = self};
  MEASURE(close);
  give_source(self);
}

static void *measured_allocate(struct allocator *self, size_t size, size_t align) {
  struct call call = {.self = self, .size = size, .align = align};
  MEASURE(allocate);
  return call.answer.block;
}

static void *measured_allocate_zeroed(struct allocator *self, size_t count, size_t size,
                                      size_t align) {
  struct call call = {.self = self, .count = count, .size = size, .align = align};
  MEASURE(allocate_zeroed);
  return call.answer.block;
}

static enum release_result measured_release(struct allocator *self, void *block) {
  struct call call = {.self = self, .block = block};
  MEASURE(release);
  return call.answer.released;
}

static void *measured_resize(struct allocator *self, void *block, size_t size, size_t align) {
  struct call call = {.self = self, .block = block, .size = size, .align = align};
  MEASURE(resize);
  return call.answer.block;
}

static size_t measured_usable_size(const struct allocator *self, const void *block) {
  struct call call = {.self = (struct allocator *)(uintptr_t)self,
                      .block = (void *)(uintptr_t)block};
  MEASURE(usable_size);
  return call.answer.size;
}

static void measured_reset(struct allocator *self) {
  struct call call = {.self = self};
  MEASURE(reset);
}

static struct mark measured_mark(struct allocator *self) {
  struct call call = {.self = self};
  MEASURE(mark);
  return call.mark;
}

static void measured_rollback(struct allocator *self, struct mark mark) {
  struct call call = {.self = self, .mark = mark};
  MEASURE(rollback);
}

static size_t measured_collect(struct allocator *self, const struct collection *collection) {
  struct collection with = *collection;
  asked = collection;
  if (collection->trace) with.trace = trace;
  if (collection->collected) with.collected = collected;
  struct call call = {.self = self, .collection = &with};
  MEASURE(collect);
  return call.answer.size;
}

// ## What the measuring takes: a strategy whose functions do nothing

static struct allocator *no_create(struct source *source, const struct strategy_options *options) {
  (void)source, (void)options;
  return NULL;
}
static void no_self(struct allocator *self) { (void)self; }
static void *no_allocate(struct allocator *self, size_t size, size_t align) {
  (void)self, (void)size, (void)align;
  return NULL;
}
static void *no_zeroed(struct allocator *self, size_t count, size_t size, size_t align) {
  (void)self, (void)count, (void)size, (void)align;
  return NULL;
}
static enum release_result no_release(struct allocator *self, void *block) {
  (void)self, (void)block;
  return RELEASED;
}
static void *no_resize(struct allocator *self, void *block, size_t size, size_t align) {
  (void)self, (void)block, (void)size, (void)align;
  return NULL;
}
static size_t no_size(const struct allocator *self, const void *block) {
  (void)self, (void)block;
  return 0;
}
static struct mark no_mark(struct allocator *self) {
  (void)self;
  return (struct mark){0};
}
static void no_rollback(struct allocator *self, struct mark mark) { (void)self, (void)mark; }
static size_t no_collect(struct allocator *self, const struct collection *collection) {
  (void)self, (void)collection;
  return 0;
}
static size_t no_available(const struct source *self) {
  (void)self;
  return 0;
}
static void ask_source(struct allocator *self) {
  struct source *source = (struct source *)self;
  source->available(source);
}

static struct strategy empty = {
    .create = no_create,
    .destroy = no_self,
    .allocate = no_allocate,
    .allocate_zeroed = no_zeroed,
    .release = no_release,
    .resize = no_resize,
    .usable_size = no_size,
    .reset = no_self,
    .mark = no_mark,
    .rollback = no_rollback,
    .collect = no_collect,
    .close = no_self,
    .open = no_create,
};

// All of them once; which one comes first makes no difference.
static void call_all(void) {
  struct call call = {0};
#define CALL(name) measure(AT_##name, call_##name, &call);
  OPERATIONS(CALL)
}

static void calibrate(void) {
  static struct worst found[OPERATION_COUNT];
  inner = &empty;
  mine = found;
  mode = CALIBRATING;
  call_all();
  struct source none = {.available = no_available};
  struct plain_source *source = take_source(&none);
  empty.reset = ask_source;
  struct call call = {.self = (struct allocator *)&source->base.base};
  uint32_t without = found[AT_reset].instructions;
  MEASURE(reset);
  outside_each = found[AT_reset].instructions - without;
  found[AT_reset].instructions = without;
  empty.reset = no_self;
  *source = (struct plain_source){0};
  mode = STACKS;
  call_all();
  memcpy(nothing, found, sizeof nothing);
}

// A release whose cost is known: does the measuring find it?
enum { NOPS = 64, BYTES = 512, FRAME = 64 };

static enum release_result known_release(struct allocator *self, void *block) {
  (void)self, (void)block;
  __asm__ volatile(".rept 64\n\tnop\n\t.endr");
  return RELEASED;
}

static __attribute__((noinline)) enum release_result deep_release(struct allocator *self,
                                                                  void *block) {
  (void)self, (void)block;
  volatile uint32_t words[BYTES / sizeof(uint32_t)];
  for (size_t i = 0; i < BYTES / sizeof(uint32_t); i++) words[i] = (uint32_t)i;
  return words[0] ? RELEASE_DOUBLE : RELEASED;
}

static bool exact(void) {
  struct worst found[OPERATION_COUNT] = {0};
  struct call call = {0};
  inner = &empty;
  mine = found;
  mode = INSTRUCTIONS;
  empty.release = known_release;
  MEASURE(release);
  mode = STACKS;
  empty.release = deep_release;
  MEASURE(release);
  empty.release = no_release;
  size_t stack = found[AT_release].stack;
  uint32_t instructions = world_instructions() ? NOPS : 0;
  return found[AT_release].instructions == instructions && stack >= BYTES && stack <= BYTES + FRAME;
}

// ## The programs

static const struct strategy *through(const struct strategy *strategy) {
  size_t index = 0;
  while (registry[index].name && registry[index].strategy != strategy) index++;
  if (!registry[index].name || index >= STRATEGIES) {
    flawed = true;
    return strategy;
  }
  inner = strategy;
  mine = worst[index];
  memset(sources, 0, sizeof sources);
  measured = *strategy;
#define REPLACE(name)                                                                              \
  if (measured.name) measured.name = measured_##name;
  OPERATIONS(REPLACE)
  return &measured;
}

static void tell(const struct registry_entry *entry, int operation, const struct worst *at) {
  struct writer *console = world_console();
  print_text(console, "footprint ");
  print_text(console, entry->name);
  print_char(console, ' ');
  print_text(console, names[operation]);
  print_text(console, " calls=");
  print_unsigned(console, at->calls);
  print_text(console, " instructions=");
  if (world_instructions())
    print_unsigned(console, at->instructions);
  else
    print_char(console, '-');
  print_text(console, " stack=");
  print_unsigned(console, at->stack);
  print_char(console, '\n');
}

bool footprint(bool (*programs)(void)) {
  calibrate();
  if (!exact()) flawed = true;
  judge_through(through);
  mode = INSTRUCTIONS;
  bool ran = programs();
  mode = STACKS;
  ran = ran && programs();
  judge_through(NULL);
  for (unsigned i = 0; registry[i].name && i < STRATEGIES; i++)
    for (int operation = 0; operation < OPERATION_COUNT; operation++)
      if (worst[i][operation].calls) tell(registry + i, operation, worst[i] + operation);
  print_text(world_console(), flawed ? "footprint: NOT all of it was measured\n"
                                     : "footprint: all of it was measured\n");
  return ran && !flawed;
}
