"""Every collection of the house: one line each, and all that is made of a collection follows."""

load(":collections.bzl", "collection")  # buildifier: disable=load

COLLECTIONS = [
    collection("hash_map"),
    collection("list"),
    collection("string", parts = ["utf8"]),
    collection("vector"),
]
