"""The kit for authors of providers: prove a plugin against the seam. Needs the extra ``testing``."""
