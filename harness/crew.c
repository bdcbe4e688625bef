#include "harness/crew.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "allocators/lock.h"

// Going to sleep and waking up take longer than most of the work.
enum { SPINS = 500 };

static struct {
  pid_t employer;
  unsigned hired;  // threads 1 .. hired are there
  pthread_t threads[CREW_MAX];
  sem_t start[CREW_MAX], done;
  // The work in progress; no work: the thread ends.
  void (*work)(void *context, unsigned thread);
  void *context;
  unsigned wanted;
  atomic_uint ready;
} crew;

static void await(sem_t *semaphore) {
  for (unsigned i = 0; i < SPINS; i++) {
    if (sem_trywait(semaphore) == 0) return;
    lock_pause();
  }
  while (sem_wait(semaphore) != 0 && errno == EINTR) {
  }
}

// Threads that start when the first is done already would never meet. Orders nothing: what they do
// to each other is the work's.
static void start_together(void) {
  atomic_fetch_add_explicit(&crew.ready, 1, memory_order_relaxed);
  for (unsigned i = 0; atomic_load_explicit(&crew.ready, memory_order_relaxed) < crew.wanted; i++) {
    if (i < SPINS)
      lock_pause();
    else
      lock_yield();
  }
}

static void *serve(void *context) {
  sem_t *start = context;
  unsigned thread = (unsigned)(start - crew.start);
  watch_begin_thread(thread);
  for (;;) {
    await(start);
    if (!crew.work) return NULL;
    start_together();
    crew.work(crew.context, thread);
    sem_post(&crew.done);
  }
}

void crew_dismiss(void) {
  if (crew.employer != getpid()) return;
  crew.work = NULL;
  for (unsigned i = 1; i <= crew.hired; i++) sem_post(&crew.start[i]);
  for (unsigned i = 1; i <= crew.hired; i++) pthread_join(crew.threads[i], NULL);
  crew.hired = 0;
}

static bool hire(unsigned threads) {
  if (crew.employer != getpid()) {
    if (crew.employer == 0) atexit(crew_dismiss);
    crew.employer = getpid();
    crew.hired = 0;
    sem_init(&crew.done, 0, 0);
    ORDER_ATOMIC(crew.ready);
  }
  static const int own_faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
  sigset_t others, before;
  sigfillset(&others);
  for (size_t i = 0; i < sizeof own_faults / sizeof *own_faults; i++)
    sigdelset(&others, own_faults[i]);
  pthread_sigmask(SIG_SETMASK, &others, &before);
  while (crew.hired + 1 < threads) {
    unsigned next = crew.hired + 1;
    sem_init(&crew.start[next], 0, 0);
    if (pthread_create(&crew.threads[next], NULL, serve, &crew.start[next]) != 0) break;
    crew.hired = next;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return crew.hired + 1 >= threads;
}

bool crew_work(unsigned threads, void (*work)(void *context, unsigned thread), void *context) {
  if (!hire(threads)) return false;
  crew.work = work;
  crew.context = context;
  crew.wanted = threads;
  atomic_store_explicit(&crew.ready, 0, memory_order_relaxed);
  for (unsigned i = 1; i < threads; i++) sem_post(&crew.start[i]);
  start_together();
  work(context, 0);
  for (unsigned i = 1; i < threads; i++) await(&crew.done);
  return true;
}
