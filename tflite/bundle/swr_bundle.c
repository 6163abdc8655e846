#include "swr_bundle.h"

#include <string.h>

enum {
  kVersion = 1,
  kHeaderBytes = 24,
  kSegmentBytes = 12,
  kNeedsBytes = 32,
  kTaskBytes = SWR_BUNDLE_NAME_BYTES + 8 + kNeedsBytes,
  kChecksumBytes = 4,
  kPatchHeaderBytes = 16,
  kWriteBytes = 8,
  kSmallestSlot = 64,
  kLargestSlot = 262144,
  kAlignment = 16,
};

static uint16_t u16(const uint8_t *at) { return (uint16_t)(at[0] | at[1] << 8); }

static uint32_t u32(const uint8_t *at) { return u16(at) | (uint32_t)u16(at + 2) << 16; }

static uint32_t crc32(const uint8_t *data, uint32_t bytes) {
  uint32_t crc = 0xffffffffu;
  for (uint32_t i = 0; i < bytes; ++i) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; ++bit) {
      crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
    }
  }
  return ~crc;
}

static uint32_t table_bytes(const SwrBundle *bundle) {
  return kHeaderBytes + (uint32_t)bundle->segments * kSegmentBytes +
         (uint32_t)bundle->tasks * kTaskBytes;
}

static const uint8_t *segment_at(const SwrBundle *bundle, uint16_t segment) {
  return bundle->table + kHeaderBytes + (uint32_t)segment * kSegmentBytes;
}

static const uint8_t *task_at(const SwrBundle *bundle, uint16_t task) {
  return segment_at(bundle, bundle->segments) + (uint32_t)task * kTaskBytes;
}

static bool needs(const uint8_t *task, uint16_t segment) {
  const uint8_t *bits = task + SWR_BUNDLE_NAME_BYTES + 8;
  return bits[segment / 8] >> segment % 8 & 1;
}

/* The end of the segment that a task needs and in which an offset lies; 0 if there is none. */
static uint32_t end_of_segment(const SwrBundle *bundle, const uint8_t *task, uint32_t offset) {
  for (uint16_t i = 0; i < bundle->segments; ++i) {
    uint32_t start = u32(segment_at(bundle, i)), bytes = u32(segment_at(bundle, i) + 4);
    if (needs(task, i) && offset >= start && offset - start < bytes) {
      return start + bytes;
    }
  }
  return 0;
}

/* Whether segments lie one below the other, between the tables and the end of the image. */
static bool in_order(const SwrBundle *bundle, uint32_t tables) {
  uint32_t behind = bundle->bytes;
  for (uint16_t i = 0; i < bundle->segments; ++i) {
    uint32_t start = u32(segment_at(bundle, i)), bytes = u32(segment_at(bundle, i) + 4);
    if (start < tables || start > behind || bytes > behind - start) {
      return false;
    }
    behind = start;
  }
  return true;
}

static bool open_slot(SwrBundle *bundle, const uint8_t *image, uint32_t bytes, uint32_t place) {
  if (place > bytes || bytes - place < kHeaderBytes + kChecksumBytes) {
    return false;
  }
  const uint8_t *table = image + place;
  uint16_t slots = u16(table + 6);
  uint32_t slot_bytes = u32(table + 8);
  *bundle = (SwrBundle){image, table, bytes, u16(table + 20), u16(table + 22)};
  if (memcmp(table, "SWRB", 4) != 0 || u16(table + 4) != kVersion || slots < 1 || slots > 2 ||
      u32(table + 12) != bytes || slot_bytes > bytes / slots ||
      place != u32(table + 16) % slots * slot_bytes || bundle->segments > 8 * kNeedsBytes) {
    return false;
  }
  uint32_t end = table_bytes(bundle);
  return end + kChecksumBytes <= slot_bytes && crc32(table, end) == u32(table + end) &&
         in_order(bundle, slots * slot_bytes);
}

bool swr_bundle_open(SwrBundle *bundle, const uint8_t *image, uint32_t bytes) {
  SwrBundle candidate;
  bool found = open_slot(bundle, image, bytes, 0);
  for (uint32_t place = kSmallestSlot; place <= kLargestSlot; place *= 2) {
    if (open_slot(&candidate, image, bytes, place) &&
        (!found || u32(candidate.table + 16) > u32(bundle->table + 16))) {
      *bundle = candidate;
      found = true;
    }
  }
  return found;
}

void swr_bundle_name(const SwrBundle *bundle, uint16_t task, char name[SWR_BUNDLE_NAME_BYTES + 1]) {
  memcpy(name, task_at(bundle, task), SWR_BUNDLE_NAME_BYTES);
  name[SWR_BUNDLE_NAME_BYTES] = '\0';
}

int swr_bundle_find(const SwrBundle *bundle, const char *name) {
  char found[SWR_BUNDLE_NAME_BYTES + 1];
  for (uint16_t task = 0; task < bundle->tasks; ++task) {
    swr_bundle_name(bundle, task, found);
    if (strcmp(found, name) == 0) {
      return task;
    }
  }
  return -1;
}

bool swr_bundle_is_whole(const SwrBundle *bundle, uint16_t task) {
  for (uint16_t i = 0; i < bundle->segments; ++i) {
    const uint8_t *segment = segment_at(bundle, i);
    if (needs(task_at(bundle, task), i) &&
        crc32(bundle->image + u32(segment), u32(segment + 4)) != u32(segment + 8)) {
      return false;
    }
  }
  return true;
}

const uint8_t *swr_bundle_model(const SwrBundle *bundle, uint16_t task) {
  const uint8_t *entry = task_at(bundle, task);
  uint32_t root = u32(entry + SWR_BUNDLE_NAME_BYTES);
  uint32_t end = end_of_segment(bundle, entry, root);
  return end - root < 8 || end == 0 || root % kAlignment != 0 ? NULL : bundle->image + root;
}

const char *swr_bundle_label(const SwrBundle *bundle, uint16_t task, uint16_t label) {
  const uint8_t *entry = task_at(bundle, task);
  uint32_t at = u32(entry + SWR_BUNDLE_NAME_BYTES + 4);
  uint32_t end = end_of_segment(bundle, entry, at);
  for (uint16_t i = 0; at < end && bundle->image[at] != '\0'; ++i) {
    const char *text = (const char *)bundle->image + at;
    const uint8_t *stop = memchr(text, '\0', end - at);
    if (stop == NULL) {
      return NULL;
    }
    if (i == label) {
      return text;
    }
    at = (uint32_t)(stop - bundle->image) + 1;
  }
  return NULL;
}

bool swr_bundle_accepts(const SwrBundle *bundle, const uint8_t *patch, uint32_t bytes) {
  if (bytes < kPatchHeaderBytes + kChecksumBytes || memcmp(patch, "SWRP", 4) != 0 ||
      crc32(patch, bytes - kChecksumBytes) != u32(patch + bytes - kChecksumBytes) ||
      u32(patch + 4) != bundle->bytes ||
      u32(patch + 8) != u32(bundle->table + table_bytes(bundle))) {
    return false;
  }
  uint32_t at = kPatchHeaderBytes, end = bytes - kChecksumBytes;
  for (uint32_t left = u32(patch + 12); left > 0; --left) {
    if (end - at < kWriteBytes) {
      return false;
    }
    uint32_t offset = u32(patch + at), length = u32(patch + at + 4);
    at += kWriteBytes;
    if (length > end - at || offset > bundle->bytes || length > bundle->bytes - offset) {
      return false;
    }
    at += length;
  }
  return at == end;
}

bool swr_bundle_apply(const SwrBundle *bundle, const uint8_t *patch, uint32_t bytes,
                      SwrWrite write, void *context) {
  if (!swr_bundle_accepts(bundle, patch, bytes)) {
    return false;
  }
  uint32_t at = kPatchHeaderBytes;
  for (uint32_t left = u32(patch + 12); left > 0; --left) {
    uint32_t length = u32(patch + at + 4);
    if (!write(context, u32(patch + at), patch + at + kWriteBytes, length)) {
      return false;
    }
    at += kWriteBytes + length;
  }
  return true;
}
