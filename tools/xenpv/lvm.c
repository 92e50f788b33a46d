/*
 * LVM2's metadata on a physical volume
 *
 * A label in one of the first four sectors points to the header of the physical
 * volume, this to a metadata area, and the area's header to the text in its
 * ring buffer. The text describes the group's physical and logical volumes.
 *
 * disk.c calls this. All that is read is untrusted, see lvm.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <zlib.h>
#include "qemu/bswap.h"
#include "qapi/error.h"
#include "lvm.h"

#define SECTOR          512
#define LABEL_SECTORS   4
#define UUID_LEN        32
#define AREA_MAGIC      " LVM2 x[5A%r0N*>"
#define AREA_HEADER     SECTOR      /* the ring buffer follows it */
/* LVM's usual area has 1 MiB, and a text may fill half of it */
#define TEXT_MAX        (4 * 1024 * 1024)
#define MAX_DEPTH       8
#define MAX_NODES       (256 * 1024)
#define MAX_VOLUMES     1024

/* --- The text ------------------------------------------------------------ */

/* NAME { ... }, NAME = value, or a value in an array */
typedef struct Node {
    char *name;                 /* NULL in an array */
    char *value;                /* a string or a number; NULL: see children */
    struct Node *children, *next;
} Node;

typedef struct Text {
    const char *p, *end;
    unsigned line;
    unsigned nodes;
    Error **errp;
} Text;

static void node_free(Node *n)
{
    while (n) {
        Node *next = n->next;

        node_free(n->children);
        g_free(n->name);
        g_free(n->value);
        g_free(n);
        n = next;
    }
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Node, node_free)

static bool text_error(Text *t, const char *reason)
{
    error_setg(t->errp, "line %u of the metadata: %s", t->line, reason);
    return false;
}

/* One more node of the tree; NULL if there are too many */
static Node *node_new(Text *t)
{
    if (++t->nodes > MAX_NODES) {
        text_error(t, "too many values");
        return NULL;
    }
    return g_new0(Node, 1);
}

/* Skips blanks and comments; returns the next character, 0 at the end */
static char peek(Text *t)
{
    for (; t->p < t->end && *t->p; t->p++) {
        if (*t->p == '#') {
            while (t->p + 1 < t->end && t->p[1] && t->p[1] != '\n') {
                t->p++;
            }
        } else if (*t->p == '\n') {
            t->line++;
        } else if (!g_ascii_isspace(*t->p)) {
            return *t->p;
        }
    }
    return 0;
}

static bool skip(Text *t, char c)
{
    if (peek(t) != c) {
        return false;
    }
    t->p++;
    return true;
}

static bool is_word(char c)
{
    return g_ascii_isalnum(c) || (c && strchr("_-+.", c));
}

/* A name or a number */
static char *parse_word(Text *t)
{
    const char *start;

    peek(t);
    start = t->p;
    while (t->p < t->end && is_word(*t->p)) {
        t->p++;
    }
    if (t->p == start) {
        text_error(t, "a name or a value is missing");
        return NULL;
    }
    return g_strndup(start, t->p - start);
}

static char *parse_string(Text *t)
{
    g_autoptr(GString) s = g_string_new(NULL);

    for (t->p++; t->p < t->end && *t->p && *t->p != '\n'; t->p++) {
        if (*t->p == '"') {
            t->p++;
            return g_strdup(s->str);
        }
        if (*t->p == '\\' && t->p + 1 < t->end) {
            t->p++;
        }
        g_string_append_c(s, *t->p);
    }
    text_error(t, "a string does not end");
    return NULL;
}

static bool parse_value(Text *t, Node *n, bool in_array)
{
    Node **tail = &n->children;

    if (!skip(t, '[')) {
        n->value = peek(t) == '"' ? parse_string(t) : parse_word(t);
        return n->value != NULL;
    }
    if (in_array) {
        return text_error(t, "an array in an array");
    }
    while (!skip(t, ']')) {
        *tail = node_new(t);
        if (!*tail || !parse_value(t, *tail, true)) {
            return false;
        }
        tail = &(*tail)->next;
        if (!skip(t, ',') && peek(t) != ']') {
            return text_error(t, "an array does not end");
        }
    }
    return true;
}

/* Reads up to a section's }, or, at depth 0, to the end of the text */
static bool parse_section(Text *t, Node **tail, unsigned depth)
{
    while (depth ? !skip(t, '}') : peek(t)) {
        Node *n = *tail = node_new(t);

        if (!n) {
            return false;
        }
        tail = &n->next;
        n->name = parse_word(t);
        if (!n->name) {
            return false;
        }
        if (skip(t, '{')) {
            if (depth == MAX_DEPTH) {
                return text_error(t, "too many sections in each other");
            }
            if (!parse_section(t, &n->children, depth + 1)) {
                return false;
            }
        } else if (!skip(t, '=')) {
            return text_error(t, "neither a section nor a value");
        } else if (!parse_value(t, n, false)) {
            return false;
        }
    }
    return true;
}

static const Node *find(const Node *section, const char *name)
{
    const Node *n = section ? section->children : NULL;

    while (n && g_strcmp0(n->name, name)) {
        n = n->next;
    }
    return n;
}

static const char *string_of(const Node *section, const char *name)
{
    const Node *n = find(section, name);

    return n ? n->value : NULL;
}

static bool to_number(const char *s, uint64_t *value)
{
    return s && g_ascii_string_to_unsigned(s, 10, 0, UINT64_MAX, value, NULL);
}

static bool number_of(const Node *section, const char *name, uint64_t *value)
{
    return to_number(string_of(section, name), value);
}

/* --- What it says -------------------------------------------------------- */

typedef struct Pv {
    const char *name;           /* as the group calls it */
    uint64_t start, count;      /* of the extents, in bytes; how many */
    uint64_t extent, size;      /* bytes */
} Pv;

static void volume_free(void *opaque)
{
    LvmVolume *v = opaque;

    g_free(v->name);
    g_free(v->runs);
    g_free(v->why_not);
    g_free(v);
}

void lvm_group_free(LvmGroup *g)
{
    if (g) {
        g_free(g->name);
        g_ptr_array_unref(g->volumes);
        g_free(g);
    }
}

/* UUIDs are written with dashes */
static bool same_uuid(const char *text, const char *uuid)
{
    int n = 0;

    for (; text && *text; text++) {
        if (*text != '-' && (n >= UUID_LEN || *text != uuid[n++])) {
            return false;
        }
    }
    return n == UUID_LEN;
}

static bool find_pv(const Node *vg, const char *uuid, Pv *pv, Error **errp)
{
    const Node *n = find(vg, "physical_volumes");
    uint64_t sectors, first, bytes;

    for (n = n ? n->children : NULL; n; n = n->next) {
        if (same_uuid(string_of(n, "id"), uuid)) {
            break;
        }
    }
    if (!n) {
        error_setg(errp, "its group does not know this physical volume");
        return false;
    }
    if (!number_of(vg, "extent_size", &sectors) || !sectors ||
        __builtin_mul_overflow(sectors, SECTOR, &pv->extent) ||
        !number_of(n, "pe_start", &first) ||
        __builtin_mul_overflow(first, SECTOR, &pv->start) ||
        !number_of(n, "pe_count", &pv->count) ||
        __builtin_mul_overflow(pv->count, pv->extent, &bytes) ||
        pv->start > pv->size || bytes > pv->size - pv->start) {
        error_setg(errp, "its physical volume does not fit onto the disk");
        return false;
    }
    pv->name = n->name;
    return true;
}

/* Adds one segment; returns why it cannot be read, or NULL */
static const char *add_run(LvmVolume *v, const Node *segment, const Pv *pv)
{
    const char *type = string_of(segment, "type");
    const Node *stripes = find(segment, "stripes");
    uint64_t first, count, at, stripe_count, end;
    LvmRun run;

    if (g_strcmp0(type, "striped") && g_strcmp0(type, "linear")) {
        return type ?: "of no type";
    }
    if (!number_of(segment, "stripe_count", &stripe_count)) {
        return "damaged";
    }
    if (stripe_count != 1) {
        return "striped";
    }
    stripes = stripes ? stripes->children : NULL;
    if (!stripes || !stripes->next || !to_number(stripes->next->value, &at) ||
        !number_of(segment, "start_extent", &first) ||
        !number_of(segment, "extent_count", &count) || !count) {
        return "damaged";
    }
    if (g_strcmp0(stripes->value, pv->name)) {
        return "in part on another physical volume";
    }
    if (__builtin_add_overflow(at, count, &end) || end > pv->count ||
        first != v->size / pv->extent) {
        return "damaged";
    }
    /* These cannot overflow: pv->count * pv->extent fits */
    run.start = v->size;
    run.size = count * pv->extent;
    run.place = pv->start + at * pv->extent;
    if (__builtin_add_overflow(v->size, run.size, &v->size)) {
        return "damaged";
    }
    v->runs = g_renew(LvmRun, v->runs, v->nr_runs + 1);
    v->runs[v->nr_runs++] = run;
    return NULL;
}

static LvmVolume *new_volume(const Node *n, const Pv *pv)
{
    LvmVolume *v = g_new0(LvmVolume, 1);
    const char *why_not = NULL;
    const Node *s;
    uint64_t count = 0;

    v->name = g_strdup(n->name);
    if (!number_of(n, "segment_count", &count) || !count) {
        why_not = "damaged";
    }
    for (s = n->children; s && !why_not; s = s->next) {
        if (!s->value && g_str_has_prefix(s->name, "segment")) {
            why_not = add_run(v, s, pv);
        }
    }
    if (!why_not && v->nr_runs != count) {
        why_not = "damaged";
    }
    v->why_not = g_strdup(why_not);
    return v;
}

LvmGroup *lvm_parse(const char *text, size_t len, const char *uuid,
                    uint64_t size, Error **errp)
{
    Text t = { .p = text, .end = text + len, .line = 1, .errp = errp };
    g_autoptr(Node) root = NULL;
    g_autoptr(LvmGroup) g = NULL;
    Pv pv = { .size = size };
    const Node *vg, *n;

    if (!parse_section(&t, &root, 0)) {
        return NULL;
    }
    /* The group is the only section at the top */
    for (vg = root; vg && !vg->children; vg = vg->next) {
        continue;
    }
    if (!vg) {
        error_setg(errp, "the metadata has no group");
        return NULL;
    }
    if (!find_pv(vg, uuid, &pv, errp)) {
        return NULL;
    }
    g = g_new0(LvmGroup, 1);
    g->name = g_strdup(vg->name);
    g->volumes = g_ptr_array_new_with_free_func(volume_free);
    n = find(vg, "logical_volumes");
    for (n = n ? n->children : NULL; n && n->name; n = n->next) {
        if (g->volumes->len == MAX_VOLUMES) {
            error_setg(errp, "it has more than %d logical volumes",
                       MAX_VOLUMES);
            return NULL;
        }
        g_ptr_array_add(g->volumes, new_volume(n, &pv));
    }
    return g_steal_pointer(&g);
}

bool lvm_place(const LvmVolume *v, uint64_t offset, uint64_t *place,
               uint64_t *len)
{
    unsigned low = 0, high = v->nr_runs;

    /* Each read of a block searches the runs, of which there may be 100,000 */
    while (low < high) {
        unsigned i = low + (high - low) / 2;
        const LvmRun *r = &v->runs[i];

        if (offset < r->start) {
            high = i;
        } else if (offset - r->start >= r->size) {
            low = i + 1;
        } else {
            *place = r->place + (offset - r->start);
            *len = r->size - (offset - r->start);
            return true;
        }
    }
    return false;
}

/* --- The disk ------------------------------------------------------------ */

/* CRC-32 with LVM's own initial value, and without the final inversion */
static uint32_t lvm_crc(const uint8_t *p, size_t len)
{
    return ~crc32(~0xf597a6cfU, p, len);
}

/* Reads the sector with the label; false if there is none */
static bool find_label(LvmRead *read, void *opaque, uint8_t *sector)
{
    for (unsigned i = 0; i < LABEL_SECTORS; i++) {
        if (read(opaque, i * SECTOR, sector, SECTOR) &&
            !memcmp(sector, "LABELONE", 8) &&
            !memcmp(sector + 24, "LVM2 001", 8)) {
            return true;
        }
    }
    return false;
}

/* Reads the text of the area at @start; the caller frees it. *len 0: no text */
static bool read_area(LvmRead *read, void *opaque, uint64_t start,
                      uint64_t size, char **text, size_t *len, Error **errp)
{
    uint8_t header[AREA_HEADER];
    uint64_t offset, bytes, first;
    g_autofree char *data = NULL;

    *len = 0;
    if (size <= AREA_HEADER || !read(opaque, start, header, sizeof(header)) ||
        memcmp(header + 4, AREA_MAGIC, 16) ||
        lvm_crc(header + 4, sizeof(header) - 4) != ldl_le_p(header)) {
        error_setg(errp, "the header of its metadata is damaged");
        return false;
    }
    offset = ldq_le_p(header + 40);
    bytes = ldq_le_p(header + 48);
    if (!offset && !bytes) {
        return true;
    }
    if (offset < AREA_HEADER || offset >= size || !bytes ||
        bytes > size - AREA_HEADER || bytes > TEXT_MAX) {
        error_setg(errp, "its metadata is not where it should be");
        return false;
    }
    data = g_malloc(bytes);
    /* The ring wraps around: the rest of the text is right after the header */
    first = MIN(bytes, size - offset);
    if (!read(opaque, start + offset, data, first) ||
        (first < bytes && !read(opaque, start + AREA_HEADER, data + first,
                                bytes - first)) ||
        lvm_crc((uint8_t *)data, bytes) != ldl_le_p(header + 56)) {
        error_setg(errp, "its metadata is damaged");
        return false;
    }
    *text = g_steal_pointer(&data);
    *len = bytes;
    return true;
}

LvmGroup *lvm_read(LvmRead *read, void *opaque, uint64_t size, Error **errp)
{
    uint8_t sector[SECTOR];
    char uuid[UUID_LEN];
    const uint8_t *p, *end = sector + SECTOR;
    g_autofree char *text = NULL;
    uint64_t start, bytes;
    uint32_t offset;
    size_t len = 0;

    if (!find_label(read, opaque, sector)) {
        return NULL;
    }
    offset = ldl_le_p(sector + 20);
    if (lvm_crc(sector + 20, SECTOR - 20) != ldl_le_p(sector + 16) ||
        offset < 32 || offset > SECTOR - UUID_LEN - 8) {
        error_setg(errp, "its label is damaged");
        return NULL;
    }
    p = sector + offset;
    memcpy(uuid, p, UUID_LEN);
    /* Two lists of offset and size: the areas of data, then of metadata */
    for (p += UUID_LEN + 8; end - p >= 16 && ldq_le_p(p); p += 16) {
        continue;
    }
    p += 16;
    if (end - p < 16 || !ldq_le_p(p)) {
        error_setg(errp, "its metadata is on another physical volume");
        return NULL;
    }
    start = ldq_le_p(p);
    bytes = ldq_le_p(p + 8);
    if (start > size || bytes > size - start) {
        error_setg(errp, "its metadata is not where it should be");
        return NULL;
    }
    if (!read_area(read, opaque, start, bytes, &text, &len, errp) || !len) {
        return NULL;
    }
    return lvm_parse(text, len, uuid, size, errp);
}
