/* Not NVIDIA's driver: a library by its name, libcuda.so.1, that holds the 16 functions that vLLM 0.24's kernels are linked
 * with, so that Python can import them on a machine without a GPU. Each answers that there is no device. Nothing is
 * computed with it. tests/gpu_stack/conftest.py compiles it into a temporary folder. */
#define NO_DEVICE 100 /* CUDA_ERROR_NO_DEVICE */
#define ANSWER(name) int name(void) { return NO_DEVICE; }

ANSWER(cuCtxGetCurrent)
ANSWER(cuCtxSetCurrent)
ANSWER(cuDeviceGetAttribute)
ANSWER(cuDevicePrimaryCtxRetain)
ANSWER(cuGetErrorString)
ANSWER(cuGetProcAddress_v2)
ANSWER(cuMemAddressFree)
ANSWER(cuMemAddressReserve)
ANSWER(cuMemCreate)
ANSWER(cuMemGetAllocationGranularity)
ANSWER(cuMemMap)
ANSWER(cuMemRelease)
ANSWER(cuMemSetAccess)
ANSWER(cuMemUnmap)
ANSWER(cuPointerGetAttribute)
ANSWER(cuTensorMapEncodeTiled)
