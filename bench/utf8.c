// How fast UTF-8 is validated: bytes a second of several kinds of text, beside a loop that looks at
// each byte on its own, and beside the libc's memchr, which only looks for one byte.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/sample.h"
#include "collections/utf8.h"
#include "harness/cpu_time.h"

// What ASCII is held to.
#define BYTES_PER_SECOND_LEAST 1e9

#define TEXT_SIZE ((size_t)64 << 10)  // stays in the processor's caches: memory is not measured

enum { ROUNDS = 15 };

// The same verdict by the book, one byte after the other: a table-free state machine.
static size_t validate_bytewise(const char *text, size_t size) {
  size_t start = 0;
  unsigned left = 0, least = 0x80, most = 0xBF;
  for (size_t i = 0; i < size; i++) {
    unsigned byte = (unsigned char)text[i];
    if (left > 0) {
      if (byte < least || byte > most) return start;
      least = 0x80, most = 0xBF;
      left--;
      continue;
    }
    start = i;
    if (byte < 0x80) continue;
    if (byte < 0xC2 || byte > 0xF4) return start;
    left = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
    if (byte == 0xE0) least = 0xA0;
    if (byte == 0xED) most = 0x9F;
    if (byte == 0xF0) least = 0x90;
    if (byte == 0xF4) most = 0x8F;
  }
  return left > 0 ? start : size;
}

// 0xFF is in no text.
static size_t search(const char *text, size_t size) {
  const char *found = memchr(text, 0xFF, size);
  return found ? (size_t)(found - text) : size;
}

static const struct {
  const char *name;
  size_t (*validate)(const char *text, size_t size);
} subjects[] = {
    {"utf8_validate", utf8_validate},
    {"byte by byte", validate_bytewise},
    {"memchr", search},
};
enum { SUBJECTS = sizeof subjects / sizeof *subjects };

static const struct {
  const char *name;
  const char *phrase;
  double least;  // bytes a second; 0: no bound
} kinds[] = {
    {"ASCII", "The allocator returned a block that overlaps another one. ", BYTES_PER_SECOND_LEAST},
    {"mixed Latin", "Où l’hôte reçoit-il sa clé ? Größe, Übung, señal, ação. ", 0},
    {"CJK", "内存分配器返回的块与另一个块重叠。メモリ割り当て。", 0},
};

// `phrase` over and over, whole ones only, hence well-formed; the rest is spaces.
static void fill(char *text, const char *phrase) {
  size_t length = strlen(phrase), size = 0;
  memset(text, ' ', TEXT_SIZE);
  for (; size + length <= TEXT_SIZE; size += length) memcpy(text + size, phrase, length);
}

// Bytes a second of CPU time, over as many calls as take some milliseconds.
static double measure(size_t subject, const char *text) {
  uint64_t start = cpu_time(), spent = 0;
  size_t calls = 0;
  while (spent < 5000000) {
    for (unsigned i = 0; i < 16; i++, calls++)
      if (subjects[subject].validate(text, TEXT_SIZE) != TEXT_SIZE) {
        fprintf(stderr, "utf8: %s refuses a well-formed text\n", subjects[subject].name);
        exit(1);
      }
    spent = cpu_time() - start;
  }
  return (double)calls * (double)TEXT_SIZE * 1e9 / (double)spent;
}

int main(void) {
  static char text[TEXT_SIZE];
  bool held = true;
  printf("%-13s %-14s %8s   median of %d rounds (least, most)\n", "text", "", "GB/s", ROUNDS);
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
    struct sample samples[SUBJECTS] = {{.count = 0}};
    fill(text, kinds[k].phrase);
    for (int round = 0; round < ROUNDS; round++)
      for (size_t i = 0; i < SUBJECTS; i++) sample_add(&samples[i], measure(i, text));
    for (size_t i = 0; i < SUBJECTS; i++) {
      struct spread spread = sample_spread(&samples[i]);
      printf("%-13s %-14s %8.2f   (%.2f, %.2f)", kinds[k].name, subjects[i].name,
             spread.median / 1e9, spread.low / 1e9, spread.high / 1e9);
      if (i == 0 && kinds[k].least > 0) {
        bool enough = spread.median >= kinds[k].least;
        printf("  at least %.2f: %s", kinds[k].least / 1e9, enough ? "held" : "NOT HELD");
        held = held && enough;
      }
      printf("\n");
    }
  }
  return held ? 0 : 1;
}
