// A zip archive with one file in it. The directory is at its end, and says where the file is; sizes
// beyond 4 GiB and encryption are not read.
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "harness/import_inflate.h"

enum {
  END_SIZE = 22,
  END_COMMENT_MAX = 65535,
  END_ENTRIES = 10,
  END_DIRECTORY = 16,
  ENTRY_SIZE = 46,
  ENTRY_FLAGS = 8,
  ENTRY_METHOD = 10,
  ENTRY_CRC = 16,
  ENTRY_PACKED = 20,
  ENTRY_UNPACKED = 24,
  ENTRY_NAME = 28,
  ENTRY_EXTRA = 30,
  ENTRY_COMMENT = 32,
  ENTRY_HEADER = 42,
  HEADER_SIZE = 30,
  HEADER_NAME = 26,
  HEADER_EXTRA = 28,
  STORED = 0,
  DEFLATED = 8,
  ENCRYPTED = 1,
};

struct entry {
  unsigned flags, method;
  uint32_t crc, packed, unpacked;
  size_t header;
};

static uint32_t get(const unsigned char *bytes, unsigned size) {
  uint32_t value = 0;
  for (unsigned i = 0; i < size; i++) value |= (uint32_t)bytes[i] << (8 * i);
  return value;
}

static bool has(const unsigned char *bytes, size_t size, size_t at, size_t need,
                const char *magic) {
  return at <= size && size - at >= need && memcmp(bytes + at, magic, 4) == 0;
}

// Where the end record is: the last one, for a comment may follow it. `size` if there is none.
static size_t find_end(const unsigned char *bytes, size_t size) {
  size_t least = size > END_SIZE + END_COMMENT_MAX ? size - END_SIZE - END_COMMENT_MAX : 0;
  for (size_t at = size >= END_SIZE ? size - END_SIZE + 1 : 0; at-- > least;)
    if (has(bytes, size, at, END_SIZE, "PK\5\6")) return at;
  return size;
}

// The only entry that is no folder.
static bool find_entry(struct entry *entry, const unsigned char *bytes, size_t size, size_t end,
                       const char *name, struct file_error *error) {
  unsigned count = get(bytes + end + END_ENTRIES, 2), files = 0;
  size_t at = get(bytes + end + END_DIRECTORY, 4);
  for (unsigned i = 0; i < count; i++) {
    if (!has(bytes, size, at, ENTRY_SIZE, "PK\1\2"))
      return file_fail(error, name, "offset %zu: entry %u of the zip's directory is damaged", at,
                       i + 1);
    const unsigned char *from = bytes + at;
    size_t length = get(from + ENTRY_NAME, 2);
    if (size - at - ENTRY_SIZE < length)
      return file_fail(error, name, "offset %zu: entry %u of the zip's directory is damaged", at,
                       i + 1);
    at += ENTRY_SIZE + length + get(from + ENTRY_EXTRA, 2) + get(from + ENTRY_COMMENT, 2);
    if (length > 0 && from[ENTRY_SIZE + length - 1] == '/') continue;
    files++;
    *entry = (struct entry){.flags = get(from + ENTRY_FLAGS, 2),
                            .method = get(from + ENTRY_METHOD, 2),
                            .crc = get(from + ENTRY_CRC, 4),
                            .packed = get(from + ENTRY_PACKED, 4),
                            .unpacked = get(from + ENTRY_UNPACKED, 4),
                            .header = get(from + ENTRY_HEADER, 4)};
  }
  return files == 1 ||
         file_fail(error, name, "the zip holds %u files; unpack it, and name the one to read",
                   files);
}

static bool unpack_entry(struct unpacked *to, const struct entry *entry, const unsigned char *bytes,
                         size_t size, const char *name, struct file_error *error) {
  if (entry->flags & ENCRYPTED)
    return file_fail(error, name, "the zip is encrypted; unpack it first");
  if (entry->method != STORED && entry->method != DEFLATED)
    return file_fail(error, name,
                     "the zip packs by method %u; only deflate is read: unpack it first",
                     entry->method);
  if (entry->packed == UINT32_MAX || entry->unpacked == UINT32_MAX)
    return file_fail(error, name, "a zip64 archive; unpack it first");
  if (!has(bytes, size, entry->header, HEADER_SIZE, "PK\3\4"))
    return file_fail(error, name, "offset %zu: no file of the zip begins there; copy it again",
                     entry->header);
  size_t start = entry->header + HEADER_SIZE + get(bytes + entry->header + HEADER_NAME, 2) +
                 get(bytes + entry->header + HEADER_EXTRA, 2);
  if (start > size || size - start < entry->packed)
    return file_fail(error, name,
                     "offset %zu: the zip's file reaches beyond its end; copy it again", start);
  if (entry->unpacked > to->most)
    return file_fail(error, name,
                     "it unpacks to %" PRIu32 " bytes, more than %" PRIu64
                     "; unpack it, and cut it into parts",
                     entry->unpacked, to->most);
  if (entry->method == DEFLATED) {
    size_t used;
    return inflate_stream(to, false, bytes + start, entry->packed, &used, name, error);
  }
  while (to->size < entry->packed) {
    if (!unpacked_reserve(to, name, error)) return false;
    size_t part = entry->packed - to->size;
    if (part > to->room - to->size) part = to->room - to->size;
    memcpy(to->bytes + to->size, bytes + start + to->size, part);
    to->size += part;
  }
  return true;
}

static uint32_t crc_of(const struct unpacked *text) {
  enum { PIECE = 1 << 30 };
  uLong crc = crc32(0, NULL, 0);
  for (size_t at = 0; at < text->size; at += PIECE) {
    size_t left = text->size - at;
    crc = crc32(crc, text->bytes + at, (uInt)(left < PIECE ? left : PIECE));
  }
  return (uint32_t)crc;
}

static bool unpack(struct unpacked *to, const unsigned char *bytes, size_t size, const char *name,
                   struct file_error *error) {
  struct entry entry = {0};
  size_t end = find_end(bytes, size);
  // A packed file alone does not say how it begins and ends: nothing of a cut zip is whole.
  if (end == size)
    return file_fail(error, name,
                     "the zip is cut off at offset %zu: its directory, which is at its end, is "
                     "missing; copy it again",
                     size);
  if (!find_entry(&entry, bytes, size, end, name, error) ||
      !unpack_entry(to, &entry, bytes, size, name, error))
    return false;
  if (to->size != entry.unpacked)
    return file_fail(error, name,
                     "it unpacks to %zu bytes, not to the %" PRIu32
                     " that the zip's directory names; copy it again",
                     to->size, entry.unpacked);
  uint32_t crc = crc_of(to);
  return crc == entry.crc ||
         file_fail(error, name,
                   "the checksum is %08" PRIx32 ", that of the bytes is %08" PRIx32
                   ": the zip is damaged; copy it again",
                   entry.crc, crc);
}

bool unpack_zip(struct unpacked *to, const unsigned char *bytes, size_t size, const char *name,
                struct file_error *error) {
  if (unpack(to, bytes, size, name, error)) return true;
  unpacked_clear(to);
  return false;
}
