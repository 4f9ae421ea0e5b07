"""What of a file is in the page cache."""
import ctypes
import mmap
import os

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]


def cached_pages(path):
    """The numbers of those pages."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            return set()
        resident = ctypes.create_string_buffer(-(-size // mmap.PAGESIZE))
        address = libc.mmap(None, size, 0, mmap.MAP_SHARED, file.fileno(), 0)
        failed = libc.mincore(address, size, resident)
        libc.munmap(address, size)
        if failed:
            raise OSError(ctypes.get_errno(), "mincore")
    return {page for page, byte in enumerate(resident.raw) if byte & 1}


def forget(path):
    """Drops the file from the cache, as far as the kernel obliges."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
