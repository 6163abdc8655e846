/* Finds the tasks of a bundle in flash, and adds tasks by patches.
 *
 * The layout is that of swr_keras/device/bundle_table.py and patch.py. C11, no heap, no state: a
 * SwrBundle is a view of the image. Nothing in an image or a patch is trusted before its checksum
 * and its bounds are right.
 */
#ifndef SWR_BUNDLE_H_
#define SWR_BUNDLE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SWR_BUNDLE_NAME_BYTES 32

typedef struct {
  const uint8_t *image; /* Aligned to 16 bytes. */
  const uint8_t *table; /* The one that holds. */
  uint32_t bytes;
  uint16_t segments;
  uint16_t tasks;
} SwrBundle;

/* Writes into flash, at an offset in the image; returns whether it did. The first write of a patch
 * goes to where the flash is erased; the last one to the slot of a table, which must be erased
 * before. */
typedef bool (*SwrWrite)(void *context, uint32_t offset, const uint8_t *data, uint32_t bytes);

/* Looks for the newest table that is whole; false if there is none, or it makes no sense. */
bool swr_bundle_open(SwrBundle *bundle, const uint8_t *image, uint32_t bytes);

/* Copies the name of a task, ended by a zero. */
void swr_bundle_name(const SwrBundle *bundle, uint16_t task, char name[SWR_BUNDLE_NAME_BYTES + 1]);

/* Returns the number of the task of a name, or -1. */
int swr_bundle_find(const SwrBundle *bundle, const char *name);

/* Checks all that a task needs. It reads as many bytes as the model has: do it once, at start. */
bool swr_bundle_is_whole(const SwrBundle *bundle, uint16_t task);

/* Returns what `tflite::GetModel` takes, or NULL if the table is wrong about it. */
const uint8_t *swr_bundle_model(const SwrBundle *bundle, uint16_t task);

/* Returns a label, ended by a zero, or NULL if there are fewer. */
const char *swr_bundle_label(const SwrBundle *bundle, uint16_t task, uint16_t label);

/* Returns whether a patch is whole, and for this state of the image. */
bool swr_bundle_accepts(const SwrBundle *bundle, const uint8_t *patch, uint32_t bytes);

/* Writes a patch that is accepted; then open the bundle again. Cut short anywhere, the bundle is
 * as it was, and the patch can be written again. */
bool swr_bundle_apply(const SwrBundle *bundle, const uint8_t *patch, uint32_t bytes,
                      SwrWrite write, void *context);

#ifdef __cplusplus
}
#endif

#endif
