/* What a program can do on an emulated microcontroller, beside what C can. */
#ifndef SWR_EMULATOR_H_
#define SWR_EMULATOR_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Returns how many instructions have run since the start, to a multiple of 50 at most. */
uint64_t swr_instructions(void);

/* Reads the start of a file of the host; returns how many bytes, or -1 if there is no such file. */
long swr_read_file(const char *path, void *to, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
