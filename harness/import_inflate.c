#include "harness/import_inflate.h"

#include <limits.h>
#include <string.h>
#include <zlib.h>

static bool damaged(const char *name, size_t offset, const char *reason, struct file_error *error) {
  return file_fail(error, name, "offset %zu: the packed data is damaged: %s; copy it again", offset,
                   reason ? reason : "no more is known");
}

static uInt at_most(size_t size) { return size < UINT_MAX ? (uInt)size : UINT_MAX; }

static bool inflate_all(z_stream *stream, struct unpacked *to, const unsigned char *bytes,
                        size_t size, size_t *used, const char *name, struct file_error *error) {
  for (*used = 0;;) {
    if (!unpacked_reserve(to, name, error)) return false;
    uInt in = at_most(size - *used), out = at_most(to->room - to->size);
    stream->next_in = (Bytef *)(bytes + *used);
    stream->avail_in = in;
    stream->next_out = to->bytes + to->size;
    stream->avail_out = out;
    int result = inflate(stream, Z_NO_FLUSH);
    WRITTEN(stream, sizeof *stream);
    WRITTEN(to->bytes + to->size, out - stream->avail_out);
    *used += in - stream->avail_in;
    to->size += out - stream->avail_out;
    if (result == Z_STREAM_END) return true;
    if (result == Z_MEM_ERROR) return file_fail(error, name, "no memory to unpack it");
    if (result != Z_OK && result != Z_BUF_ERROR) return damaged(name, *used, stream->msg, error);
    // Nothing more to take, and room that was not needed.
    if (*used == size && stream->avail_out > 0) return unpacked_cut(to, size, name, error);
  }
}

bool inflate_stream(struct unpacked *to, bool gzip, const unsigned char *bytes, size_t size,
                    size_t *used, const char *name, struct file_error *error) {
  enum { WINDOW = 15, GZIP = 16 };
  z_stream stream;
  memset(&stream, 0, sizeof stream);
  if (inflateInit2(&stream, gzip ? WINDOW + GZIP : -WINDOW) != Z_OK)
    return file_fail(error, name, "no memory to unpack it");
  WRITTEN(&stream, sizeof stream);
  bool done = inflate_all(&stream, to, bytes, size, used, name, error);
  inflateEnd(&stream);
  return done;
}

// One stream behind the other, as `cat` makes them; what is behind the last is no matter.
bool unpack_gzip(struct unpacked *to, const unsigned char *bytes, size_t size, const char *name,
                 struct file_error *error) {
  for (size_t at = 0, used; !to->cut && size - at >= 2 && bytes[at] == 0x1f; at += used)
    if (!inflate_stream(to, true, bytes + at, size - at, &used, name, error)) {
      unpacked_clear(to);
      return false;
    }
  return true;
}
