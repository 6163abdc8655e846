/* Starts a program on QEMU's boards with a Cortex-M, and connects it to the host by semihosting.
 *
 * What is printed goes to the file "output", and how the program ended to the file "report", which
 * swr_keras/device/emulator.py reads. */
#include "swr_emulator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifdef SWR_EMULATOR_AN547
#define FPGAIO 0x59302000u
#define INSTRUCTIONS_PER_TICK 50
#else
#define FPGAIO 0x40028000u
#define INSTRUCTIONS_PER_TICK 40
#endif
#define TICKS (*(volatile uint32_t *)(FPGAIO + 0x18))
#define COPROCESSOR_ACCESS (*(volatile uint32_t *)0xe000ed88u)
#define FAULT_STATUS (*(volatile uint32_t *)0xe000ed28u)
#define MEMORY_FAULT_ADDRESS (*(volatile uint32_t *)0xe000ed34u)
#define BUS_FAULT_ADDRESS (*(volatile uint32_t *)0xe000ed38u)
#define MPU_CONTROL (*(volatile uint32_t *)0xe000ed94u)
#define MPU_BASE (*(volatile uint32_t *)0xe000ed9cu)
#define MPU_ATTRIBUTES (*(volatile uint32_t *)0xe000eda0u)

enum {
  kOpen = 0x01,
  kClose = 0x02,
  kWrite = 0x05,
  kRead = 0x06,
  kExit = 0x20,
  kForReading = 1,
  kForWriting = 5,
  kStopped = 0x20026,
  kPaint = 0x5a5a5a5a,
  kEnded = 1,
  kFault = 2,
  kMemoryFault = 0xff,
};

typedef struct {
  uint32_t kind;
  uint32_t status; /* Of the program, or of the fault. */
  uint64_t instructions;
  uint32_t stack_bytes;
  uint32_t program_counter;
  uint32_t address;
  uint32_t heap_bytes;
} Report;

extern uint32_t swr_stack_start[], swr_stack_end[];
extern char swr_heap_start[], swr_heap_end[];
extern uint32_t swr_data_source[], swr_data_start[], swr_data_end[], swr_bss_start[], swr_bss_end[];

int main(void);

static int output;
static ptrdiff_t heap_bytes;

static int host(int operation, const void *arguments) {
  register int r0 __asm("r0") = operation;
  register const void *r1 __asm("r1") = arguments;
  __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

static int host_open(const char *path, uint32_t mode) {
  const uintptr_t arguments[] = {(uintptr_t)path, mode, strlen(path)};
  return host(kOpen, arguments);
}

/* Returns how many bytes are left. */
static int host_transfer(int operation, int file, const void *data, size_t bytes) {
  const uintptr_t arguments[] = {(uintptr_t)file, (uintptr_t)data, bytes};
  return host(operation, arguments);
}

static void host_close(int file) {
  const uintptr_t arguments[] = {(uintptr_t)file};
  host(kClose, arguments);
}

uint64_t swr_instructions(void) { return (uint64_t)TICKS * INSTRUCTIONS_PER_TICK; }

long swr_read_file(const char *path, void *to, size_t bytes) {
  int file = host_open(path, kForReading);
  if (file < 0) {
    return -1;
  }
  long left = host_transfer(kRead, file, to, bytes);
  host_close(file);
  return (long)bytes - left;
}

static uint32_t used_stack(void) {
  const uint32_t *word = swr_stack_start;
  while (word < swr_stack_end && *word == kPaint) {
    ++word;
  }
  return (uint32_t)((uintptr_t)swr_stack_end - (uintptr_t)word);
}

static _Noreturn void stop(Report report) {
  report.instructions = swr_instructions();
  report.stack_bytes = used_stack();
  report.heap_bytes = (uint32_t)heap_bytes;
  int file = host_open("report", kForWriting);
  host_transfer(kWrite, file, &report, sizeof report);
  host_close(file);
  const uintptr_t arguments[] = {kStopped, report.kind == kEnded ? report.status : 1};
  for (;;) {
    host(kExit, arguments);
  }
}

_Noreturn void _exit(int status) { stop((Report){.kind = kEnded, .status = (uint32_t)status}); }

/* Where the processor was is in the frame that it left on the stack, unless the stack was full. */
__attribute__((used)) static _Noreturn void report_fault(const uint32_t *frame) {
  Report report = {.kind = kFault, .status = FAULT_STATUS};
  report.address = (report.status & kMemoryFault) != 0 ? MEMORY_FAULT_ADDRESS : BUS_FAULT_ADDRESS;
  if (frame >= swr_stack_start && frame + 8 <= swr_stack_end) {
    report.program_counter = frame[6];
  }
  stop(report);
}

static uint32_t fault_stack[128] __attribute__((aligned(8), used));

__attribute__((naked)) static void fault(void) {
  __asm volatile(
      "mrs r0, msp\n"
      "ldr r1, =fault_stack + 512\n"
      "mov sp, r1\n"
      "b report_fault\n");
}

#ifdef SWR_EMULATOR_AN547
static void protect(void) {} /* This board has faults of its own. */
#else
static void allow(uint32_t region, uint32_t base, uint32_t log2_bytes, uint32_t access) {
  MPU_BASE = base | 1u << 4 | region;
  MPU_ATTRIBUTES = access | (log2_bytes - 1) << 1 | 1;
}

/* Makes a fault of what would go unnoticed: writing to flash, and any use of what isn't there. */
static void protect(void) {
  enum { kReadOnly = 6 << 24, kReadWrite = 3 << 24, kNoCode = 1 << 28 };
  allow(0, 0, 22, kReadOnly);
  allow(1, 0x20000000u, 22, kReadWrite | kNoCode);
  allow(2, 0x40000000u, 29, kReadWrite | kNoCode);
  MPU_CONTROL = 1;
}
#endif

void swr_start(void);

void swr_start(void) {
  COPROCESSOR_ACCESS |= 0xfu << 20;
  protect();
  __asm volatile("dsb\n isb" ::: "memory");
  size_t data = (uintptr_t)swr_data_end - (uintptr_t)swr_data_start;
  memcpy(swr_data_start, swr_data_source, data);
  memset(swr_bss_start, 0, (uintptr_t)swr_bss_end - (uintptr_t)swr_bss_start);
  output = host_open("output", kForWriting);
  uint32_t *unused = __builtin_frame_address(0);
  for (unused -= 16; unused > swr_stack_start;) {
    *--unused = kPaint;
  }
  exit(main());
}

__attribute__((section(".vectors"), used)) static const uintptr_t vectors[16] = {
    (uintptr_t)swr_stack_end, (uintptr_t)swr_start, (uintptr_t)fault, (uintptr_t)fault,
    (uintptr_t)fault,         (uintptr_t)fault, (uintptr_t)fault,
};

/* What the C library asks of a system. */

int _write(int file, const char *data, int bytes) {
  (void)file;
  return bytes - host_transfer(kWrite, output, data, (size_t)bytes);
}

int _read(int file, char *data, int bytes) {
  (void)file, (void)data, (void)bytes;
  return 0;
}

int _close(int file) {
  (void)file;
  return -1;
}

int _lseek(int file, int offset, int whence) {
  (void)file, (void)offset, (void)whence;
  return -1;
}

int _fstat(int file, void *status) {
  (void)file, (void)status;
  errno = EBADF;
  return -1;
}

int _isatty(int file) {
  (void)file;
  return 1;
}

int _getpid(void) { return 1; }

int _kill(int process, int signal) {
  (void)process;
  _exit(128 + signal);
}

void *_sbrk(ptrdiff_t bytes) {
  char *start = swr_heap_start + heap_bytes;
  if (bytes > swr_heap_end - start) {
    errno = ENOMEM;
    return (void *)-1;
  }
  heap_bytes += bytes;
  return start;
}
