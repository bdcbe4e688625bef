// Zstandard (RFC 8878): one frame behind the other.
#include <zstd.h>

#include "harness/import_inflate.h"

static bool unpack(ZSTD_DStream *stream, struct unpacked *to, const unsigned char *bytes,
                   size_t size, const char *name, struct file_error *error) {
  ZSTD_inBuffer in = {bytes, size, 0};
  // How much it wants next; 0 at the end of a frame.
  for (size_t wanted = 1;;) {
    if (in.pos == in.size && wanted == 0) return true;
    if (!unpacked_reserve(to, name, error)) return false;
    ZSTD_outBuffer out = {to->bytes, to->room, to->size};
    wanted = ZSTD_decompressStream(stream, &out, &in);
    WRITTEN(&out, sizeof out);
    WRITTEN(&in, sizeof in);
    WRITTEN(to->bytes + to->size, out.pos - to->size);
    bool full = out.pos == out.size;
    to->size = out.pos;
    if (ZSTD_isError(wanted))
      return file_fail(error, name, "offset %zu: the packed data is damaged: %s; copy it again",
                       in.pos, ZSTD_getErrorName(wanted));
    if (in.pos == in.size && wanted != 0 && !full) return unpacked_cut(to, size, name, error);
  }
}

bool unpack_zstd(struct unpacked *to, const unsigned char *bytes, size_t size, const char *name,
                 struct file_error *error) {
  ZSTD_DStream *stream = ZSTD_createDStream();
  bool done = stream ? unpack(stream, to, bytes, size, name, error)
                     : file_fail(error, name, "no memory to unpack it");
  ZSTD_freeDStream(stream);
  if (!done) unpacked_clear(to);
  return done;
}
