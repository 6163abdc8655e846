/* Applies a patch to a bundle, as a device does in its flash, and prints what the bundle has then,
 * each task ended by a zero.
 *
 * For an emulated microcontroller. Macros: SWR_CHECK_IMAGE and SWR_CHECK_PATCH, the bytes of the
 * files "image" and "patch".
 */
#include <stdio.h>
#include <string.h>

#include "swr_bundle.h"
#include "swr_emulator.h"

static _Alignas(16) uint8_t image[SWR_CHECK_IMAGE];
static uint8_t patch[SWR_CHECK_PATCH];

static bool write(void *context, uint32_t offset, const uint8_t *data, uint32_t bytes) {
  (void)context;
  memcpy(image + offset, data, bytes);
  return true;
}

int main(void) {
  SwrBundle bundle;
  if (swr_read_file("image", image, sizeof image) != (long)sizeof image ||
      swr_read_file("patch", patch, sizeof patch) != (long)sizeof patch ||
      !swr_bundle_open(&bundle, image, sizeof image) ||
      !swr_bundle_accepts(&bundle, patch, sizeof patch) ||
      !swr_bundle_apply(&bundle, patch, sizeof patch, write, NULL) ||
      !swr_bundle_open(&bundle, image, sizeof image)) {
    return 1;
  }
  for (uint16_t task = 0; task < bundle.tasks; ++task) {
    char name[SWR_BUNDLE_NAME_BYTES + 1];
    swr_bundle_name(&bundle, task, name);
    const uint8_t *model = swr_bundle_model(&bundle, task);
    if (!swr_bundle_is_whole(&bundle, task) || model == NULL) {
      return 2;
    }
    printf("%u %s%c", (unsigned)(model - image), name, 0);
  }
  return 0;
}
