// The lock: one thread at a time is between acquire and release, and sees what the last one wrote.
#include "allocators/lock.h"

#include <pthread.h>

#include "allocators/check.h"

enum { THREADS = 4, ROUNDS = 5000 };

static struct lock lock;
static unsigned long rounds;  // under the lock

static void *work(void *context) {
  for (unsigned i = 0; i < ROUNDS; i++) {
    lock_acquire(&lock);
    CHECK(lock_is_held(&lock));
    rounds++;
    lock_release(&lock);
  }
  return context;
}

int main(void) {
  pthread_t threads[THREADS];
  lock_init(&lock);
  CHECK(!lock_is_held(&lock));
  for (unsigned i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
  for (unsigned i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  CHECK(rounds == THREADS * ROUNDS);
  CHECK(!lock_is_held(&lock));

  CHECK(lock_try(&lock));
  CHECK(lock_is_held(&lock) && !lock_try(&lock));
  lock_release(&lock);
  CHECK(lock_try(&lock));
  lock_release(&lock);
  return 0;
}
