#include "harness/import_inflate.h"

const struct import_unpacker import_unpackers[CONTAINERS] = {
    [CONTAINER_ZIP] = {unpack_zip},
    [CONTAINER_GZIP] = {unpack_gzip},
    [CONTAINER_ZSTD] = {unpack_zstd},
};
