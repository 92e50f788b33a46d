/*
 * Reads xl's and xm's configuration files
 *
 * xm's were Python programs, most of them nothing but assignments; xl's look
 * the same. Both are read here as data, never executed: values are numbers,
 * strings (put together by + or by standing side by side), None, True, False,
 * lists and tuples of these, and variables that have been assigned before. All
 * else in Python is an error where it would matter and a note where not.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "guest.h"

#define MAX_NESTING 8
/*
 * Values, and bytes in strings, that are made in all. Variables are copied
 * where they are used, so that a few lines can double as often.
 */
#define MAX_VALUES  65536
#define MAX_BYTES   (4 * GUEST_TEXT_MAX)

typedef enum ValueType {
    VALUE_NONE,
    VALUE_NUMBER,
    VALUE_STRING,
    VALUE_LIST,
    VALUE_UNKNOWN,      /* an expression that is not read here */
} ValueType;

typedef struct Value {
    ValueType type;
    int line;
    int64_t number;
    char *string;       /* of VALUE_UNKNOWN: what stands there */
    GPtrArray *list;
    unsigned depth;     /* of lists in each other */
} Value;

typedef struct Parser {
    Guest *g;
    const char *p;
    int line;
    unsigned nesting;       /* of brackets: newlines do not count in them */
    unsigned values;        /* of MAX_VALUES, and of MAX_BYTES: */
    size_t bytes;
    GHashTable *vars;       /* name -> Value */
    GPtrArray *order;       /* names, in the order of the file */
} Parser;

static void value_free(gpointer p)
{
    Value *v = p;

    if (v) {
        g_free(v->string);
        if (v->list) {
            g_ptr_array_unref(v->list);
        }
        g_free(v);
    }
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Value, value_free)

/* One more value, with @bytes of text; NULL if there are too many */
static Value *value_new(Parser *s, ValueType type, int line, size_t bytes,
                        Error **errp)
{
    Value *v;

    if (++s->values > MAX_VALUES || bytes > MAX_BYTES - s->bytes) {
        guest_error(s->g, line, errp, "there are too many values, or too long "
                    "ones");
        return NULL;
    }
    s->bytes += bytes;
    v = g_new0(Value, 1);
    v->type = type;
    v->line = line;
    if (type == VALUE_LIST) {
        v->list = g_ptr_array_new_with_free_func(value_free);
    }
    return v;
}

static Value *value_copy(Parser *s, const Value *from, int line, Error **errp);

/* Adds copies of what is in the list @from */
static bool list_append(Parser *s, Value *v, const Value *from, Error **errp)
{
    for (int i = 0; i < from->list->len; i++) {
        Value *item = from->list->pdata[i];

        item = value_copy(s, item, item->line, errp);
        if (!item) {
            return false;
        }
        g_ptr_array_add(v->list, item);
    }
    v->depth = MAX(v->depth, from->depth);
    return true;
}

static Value *value_copy(Parser *s, const Value *from, int line, Error **errp)
{
    g_autoptr(Value) v = value_new(s, from->type, line, from->string ?
                                   strlen(from->string) : 0, errp);

    if (!v) {
        return NULL;
    }
    v->number = from->number;
    v->string = g_strdup(from->string);
    v->depth = from->depth;
    return !from->list || list_append(s, v, from, errp) ? g_steal_pointer(&v)
                                                       : NULL;
}

/* Puts the two strings together in @v */
static bool string_prepend(Parser *s, Value *v, const char *before,
                           Error **errp)
{
    size_t len = strlen(before);
    char *joined;

    if (len > MAX_BYTES - s->bytes) {
        guest_error(s->g, v->line, errp, "there are too many values, or too "
                    "long ones");
        return false;
    }
    s->bytes += len;
    joined = g_strconcat(before, v->string, NULL);
    g_free(v->string);
    v->string = joined;
    return true;
}

/* Blanks, comments and continued lines; newlines only within brackets */
static void skip_blanks(Parser *s)
{
    for (;;) {
        if (*s->p == ' ' || *s->p == '\t' || *s->p == '\r' || *s->p == '\f') {
            s->p++;
        } else if (*s->p == '#') {
            s->p += strcspn(s->p, "\n");
        } else if (*s->p == '\\' && s->p[1] == '\n') {
            s->p += 2;
            s->line++;
        } else if (*s->p == '\\' && s->p[1] == '\r' && s->p[2] == '\n') {
            s->p += 3;
            s->line++;
        } else if (*s->p == '\n' && s->nesting) {
            s->p++;
            s->line++;
        } else {
            return;
        }
    }
}

static bool is_name_char(char c, bool first)
{
    return g_ascii_isalpha(c) || c == '_' || (!first && g_ascii_isdigit(c));
}

static char *read_name(Parser *s)
{
    const char *start = s->p;

    while (is_name_char(*s->p, s->p == start)) {
        s->p++;
    }
    return g_strndup(start, s->p - start);
}

static Value *read_string(Parser *s, Error **errp)
{
    g_autoptr(GString) out = g_string_new(NULL);
    int line = s->line;
    char quote = *s->p;
    bool triple = s->p[1] == quote && s->p[2] == quote;
    Value *v;

    s->p += triple ? 3 : 1;
    while (*s->p != quote ||
           (triple && (s->p[1] != quote || s->p[2] != quote))) {
        char c = *s->p;

        if (!c || (c == '\n' && !triple)) {
            guest_error(s->g, line, errp, "the string that begins here is not "
                        "closed");
            return NULL;
        }
        s->p++;
        if (c == '\n') {
            s->line++;
        } else if (c == '\\') {
            c = *s->p ? *s->p++ : '\\';
            switch (c) {
            case 'n':
                c = '\n';
                break;
            case 't':
                c = '\t';
                break;
            case 'r':
                c = '\r';
                break;
            case '\n':
                s->line++;
                continue;
            case '\\': case '\'': case '"':
                break;
            default:
                /* Not an escape in Python either */
                g_string_append_c(out, '\\');
                break;
            }
        }
        g_string_append_c(out, c);
    }
    s->p += triple ? 3 : 1;
    v = value_new(s, VALUE_STRING, line, out->len, errp);
    if (v) {
        v->string = g_string_free(g_steal_pointer(&out), false);
    }
    return v;
}

static Value *read_number(Parser *s, Error **errp)
{
    g_autoptr(Value) v = value_new(s, VALUE_NUMBER, s->line, 0, errp);
    const char *end;

    if (!v) {
        return NULL;
    }
    if (qemu_strtoi64(s->p, &end, 0, &v->number) < 0 ||
        is_name_char(*end, true) || *end == '.') {
        guest_error(s->g, s->line, errp, "'%.*s' is not a number that can be "
                    "read", (int)MIN(strcspn(s->p, " \t\r\n,;)]#"), 40), s->p);
        return NULL;
    }
    s->p = end;
    return g_steal_pointer(&v);
}

static Value *read_value(Parser *s, Error **errp);

static Value *read_list(Parser *s, Error **errp)
{
    g_autoptr(Value) v = value_new(s, VALUE_LIST, s->line, 0, errp);
    char close = *s->p == '[' ? ']' : ')';
    int line = s->line;
    bool comma = false;

    if (!v) {
        return NULL;
    }
    if (++s->nesting > MAX_NESTING) {
        guest_error(s->g, line, errp, "brackets are nested too deeply");
        return NULL;
    }
    s->p++;
    for (;;) {
        Value *item;

        skip_blanks(s);
        if (*s->p == close) {
            break;
        }
        if (!*s->p) {
            guest_error(s->g, line, errp, "the '%c' that is opened here is not "
                        "closed", close == ']' ? '[' : '(');
            return NULL;
        }
        if (v->list->len && !comma) {
            guest_error(s->g, s->line, errp, "a comma is missing in the list "
                        "that begins in line %d", line);
            return NULL;
        }
        item = read_value(s, errp);
        if (!item) {
            return NULL;
        }
        g_ptr_array_add(v->list, item);
        /* Variables may be lists, too */
        v->depth = MAX(v->depth, item->depth + 1);
        if (v->depth > MAX_NESTING) {
            guest_error(s->g, line, errp, "brackets are nested too deeply");
            return NULL;
        }
        skip_blanks(s);
        comma = *s->p == ',';
        if (comma) {
            s->p++;
        }
    }
    s->p++;
    s->nesting--;
    if (close == ')' && v->list->len == 1 && !comma) {
        /* Only brackets */
        return g_ptr_array_steal_index(v->list, 0);
    }
    return g_steal_pointer(&v);
}

/*
 * What is not read: up to the end of the value. Brackets and strings in it are
 * followed, so that it is known where that is.
 */
static Value *skip_unknown(Parser *s, const char *start, int line, Error **errp)
{
    unsigned depth = 0;
    Value *v;

    for (;; s->p++) {
        char c = *s->p;

        if (c == '\'' || c == '"') {
            g_autoptr(Value) string = read_string(s, errp);

            if (!string) {
                return NULL;
            }
            s->p--;
        } else if (c == '(' || c == '[' || c == '{') {
            depth++;
        } else if (depth && (c == ')' || c == ']' || c == '}')) {
            depth--;
        } else if (!c || (!depth && (c == ',' || c == ';' || c == ')' ||
                                     c == ']' || c == '#')) ||
                   (c == '\n' && !depth && !s->nesting)) {
            break;
        } else if (c == '\n') {
            s->line++;
        }
    }
    if (depth) {
        guest_error(s->g, line, errp, "a bracket that is opened here is not "
                    "closed");
        return NULL;
    }
    v = value_new(s, VALUE_UNKNOWN, line, 60, errp);
    if (!v) {
        return NULL;
    }
    v->string = g_strndup(start, MIN(s->p - start, 60));
    g_strdelimit(v->string, "\r\n\t", ' ');
    g_strchomp(v->string);
    return v;
}

static Value *read_atom(Parser *s, Error **errp)
{
    const char *start = s->p;
    int line = s->line;
    g_autofree char *name = NULL;
    Value *v;

    if (*s->p == '\'' || *s->p == '"') {
        return read_string(s, errp);
    }
    if (*s->p == '[' || *s->p == '(') {
        return read_list(s, errp);
    }
    if (g_ascii_isdigit(*s->p) || (*s->p == '-' && g_ascii_isdigit(s->p[1]))) {
        return read_number(s, errp);
    }
    if (!is_name_char(*s->p, true)) {
        if (!*s->p || strchr("\n,;)]", *s->p)) {
            guest_error(s->g, s->line, errp, "a value is missing");
            return NULL;
        }
        return skip_unknown(s, start, line, errp);
    }
    name = read_name(s);
    if (*s->p == '.' || *s->p == '(' || *s->p == '[' || *s->p == '\'' ||
        *s->p == '"') {
        return skip_unknown(s, start, line, errp);
    }
    if (!strcmp(name, "None")) {
        return value_new(s, VALUE_NONE, line, 0, errp);
    }
    if (!strcmp(name, "True") || !strcmp(name, "False")) {
        v = value_new(s, VALUE_NUMBER, line, 0, errp);
        if (v) {
            v->number = name[0] == 'T';
        }
        return v;
    }
    v = g_hash_table_lookup(s->vars, name);
    if (!v) {
        return skip_unknown(s, start, line, errp);
    }
    return value_copy(s, v, line, errp);
}

/* One value: atoms put together by + or, strings, by nothing at all */
static Value *read_value(Parser *s, Error **errp)
{
    const char *start;
    int line;
    g_autoptr(Value) v = NULL;

    skip_blanks(s);
    start = s->p;
    line = s->line;
    v = read_atom(s, errp);
    while (v) {
        g_autoptr(Value) next = NULL;
        Value *swap;

        skip_blanks(s);
        if (!*s->p || strchr("\n,;)]0123456789", *s->p)) {
            break;
        }
        if (*s->p == '+') {
            s->p++;
            skip_blanks(s);
        } else if (v->type != VALUE_STRING ||
                   (*s->p != '\'' && *s->p != '"')) {
            return skip_unknown(s, start, line, errp);
        }
        next = read_atom(s, errp);
        if (!next) {
            return NULL;
        }
        if (next->type != v->type || v->type == VALUE_NONE) {
            next->type = VALUE_UNKNOWN;
        }
        switch (next->type) {
        case VALUE_STRING:
            if (!string_prepend(s, next, v->string, errp)) {
                return NULL;
            }
            swap = v;
            v = next;
            next = swap;
            v->line = next->line;
            break;
        case VALUE_NUMBER:
            if (__builtin_add_overflow(v->number, next->number, &v->number)) {
                guest_error(s->g, line, errp, "the number is too large");
                return NULL;
            }
            break;
        case VALUE_LIST:
            if (!list_append(s, v, next, errp)) {
                return NULL;
            }
            break;
        default:
            return skip_unknown(s, start, line, errp);
        }
    }
    return g_steal_pointer(&v);
}

static bool read_statement(Parser *s, Error **errp)
{
    static const char *const harmless[] = { "import", "from", "pass" };
    static const char *const control[] = {
        "if", "elif", "else", "for", "while", "def", "class", "try", "except",
        "finally", "with", "return", "exec", "del", "global", "raise", "print",
    };
    g_autofree char *name = NULL;
    g_autoptr(Value) v = NULL;
    Value *old;
    int line = s->line;
    bool append;

    if (!is_name_char(*s->p, true)) {
        guest_error(s->g, line, errp, "'%.*s' is not the beginning of a "
                    "setting", (int)MIN(strcspn(s->p, " \t\r\n="), 40), s->p);
        return false;
    }
    name = read_name(s);
    for (int i = 0; i < ARRAY_SIZE(harmless); i++) {
        if (!strcmp(name, harmless[i])) {
            s->p += strcspn(s->p, "\n");
            return true;
        }
    }
    for (int i = 0; i < ARRAY_SIZE(control); i++) {
        if (!strcmp(name, control[i])) {
            guest_error(s->g, line, errp, "Python's '%s' is not run: write "
                        "down what comes out of it", name);
            return false;
        }
    }
    skip_blanks(s);
    append = s->p[0] == '+' && s->p[1] == '=';
    s->p += append;
    if (*s->p != '=' || s->p[1] == '=') {
        guest_error(s->g, line, errp, "after '%s' there is no '='", name);
        return false;
    }
    s->p++;
    v = read_value(s, errp);
    if (!v) {
        return false;
    }
    v->line = line;
    skip_blanks(s);
    if (*s->p == ',' || (*s->p && *s->p != '\n' && *s->p != ';')) {
        guest_error(s->g, s->line, errp, "there is more behind the value of "
                    "'%s'", name);
        return false;
    }
    old = g_hash_table_lookup(s->vars, name);
    if (append && old) {
        if (old->type != v->type ||
            (v->type != VALUE_LIST && v->type != VALUE_STRING)) {
            guest_error(s->g, line, errp, "'%s' is not of the kind that it was "
                        "in line %d", name, old->line);
            return false;
        }
        if (v->type == VALUE_STRING) {
            if (!string_prepend(s, v, old->string, errp)) {
                return false;
            }
        } else {
            g_autoptr(Value) added = g_steal_pointer(&v);

            v = value_copy(s, old, line, errp);
            if (!v || !list_append(s, v, added, errp)) {
                return false;
            }
        }
    }
    if (!old) {
        g_ptr_array_add(s->order, g_strdup(name));
    }
    g_hash_table_replace(s->vars, g_steal_pointer(&name), g_steal_pointer(&v));
    return true;
}

static bool read_file(Parser *s, Error **errp)
{
    while (*s->p) {
        skip_blanks(s);
        if (*s->p == '\n') {
            s->line++;
            s->p++;
        } else if (*s->p == ';') {
            s->p++;
        } else if ((*s->p == '\'' || *s->p == '"')) {
            /* A string by itself: Python's way to comment a file */
            g_autoptr(Value) v = read_string(s, errp);

            if (!v) {
                return false;
            }
        } else if (*s->p && !read_statement(s, errp)) {
            return false;
        }
    }
    return true;
}

/* --- What the settings mean ---------------------------------------------- */

static bool want(Guest *g, const char *name, const Value *v, ValueType type,
                 Error **errp)
{
    static const char *const kinds[] = {
        "nothing", "a number", "a string", "a list", "",
    };

    if (v->type == VALUE_UNKNOWN) {
        guest_error(g, v->line, errp, "%s: '%s' is Python that would have to "
                    "be run: write down what comes out of it", name, v->string);
        return false;
    }
    if (v->type != type) {
        guest_error(g, v->line, errp, "%s: %s is needed here, not %s", name,
                    kinds[type], kinds[v->type]);
        return false;
    }
    return true;
}

static const char *want_string(Guest *g, const char *name, const Value *v,
                               Error **errp)
{
    if (!want(g, name, v, VALUE_STRING, errp)) {
        return NULL;
    }
    if (strpbrk(v->string, "\n\r")) {
        guest_error(g, v->line, errp, "%s: it has a newline in it", name);
        return NULL;
    }
    return v->string;
}

/* xm took numbers in strings, too */
static bool want_number(Guest *g, const char *name, const Value *v,
                        uint64_t *n, Error **errp)
{
    if (v->type == VALUE_STRING) {
        if (qemu_strtou64(v->string, NULL, 0, n) < 0 || v->string[0] == '-') {
            guest_error(g, v->line, errp, "%s: '%s' is not a number", name,
                        v->string);
            return false;
        }
        return true;
    }
    if (!want(g, name, v, VALUE_NUMBER, errp)) {
        return false;
    }
    if (v->number < 0) {
        guest_error(g, v->line, errp, "%s: %" PRId64 " is less than nothing",
                    name, v->number);
        return false;
    }
    *n = v->number;
    return true;
}

/* Splits "a = b" at the first '='; NULL if there is none. Both are stripped. */
static char *split_key(char *word)
{
    char *eq = strchr(word, '=');

    if (eq) {
        *eq++ = 0;
        g_strstrip(word);
        return g_strstrip(eq);
    }
    g_strstrip(word);
    return NULL;
}

static bool parse_access(Guest *g, GuestDisk *disk, const char *value,
                         Error **errp)
{
    if (!strcmp(value, "r") || !strcmp(value, "ro")) {
        disk->readonly = true;
    } else if (strcmp(value, "w") && strcmp(value, "rw") &&
               strcmp(value, "w!") && strcmp(value, "!w")) {
        guest_error(g, disk->line, errp, "disk: '%s' is not a way of access "
                    "(r, ro, w, rw)", value);
        return false;
    }
    return true;
}

static bool is_format(const char *word)
{
    g_autofree char *bare = g_strchomp(g_strdup(word));

    static const char *const formats[] = {
        "raw", "qcow", "qcow2", "qed", "vhd", "vmdk", "aio",
    };

    for (int i = 0; i < ARRAY_SIZE(formats); i++) {
        if (!strcmp(bare, formats[i])) {
            return true;
        }
    }
    return false;
}

/*
 * Takes xm's prefixes off a source, "tap:aio:" for one, and what they say
 * about it. False with errp set if it has one that nobody knows.
 */
static bool parse_prefix(Guest *g, GuestDisk *disk, const char **source,
                         bool *had, Error **errp)
{
    static const struct {
        const char *prefix, *format;
        bool is_block;
    } prefixes[] = {
        { "phy:", "raw", true }, { "file:", "raw" },
        { "tap2:tapdisk:aio:", "raw" }, { "tap:tapdisk:aio:", "raw" },
        { "tap:tapdisk:qcow2:", "qcow2" }, { "tap:tapdisk:qcow:", "qcow" },
        { "tap:tapdisk:vhd:", "vhd" }, { "tap2:tapdisk:vhd:", "vhd" },
        { "tap:aio:", "raw" }, { "tap2:aio:", "raw" }, { "tap:sync:", "raw" },
        { "tap2:sync:", "raw" }, { "tap:raw:", "raw" }, { "tap2:raw:", "raw" },
        { "tap:qcow2:", "qcow2" }, { "tap2:qcow2:", "qcow2" },
        { "tap:qcow:", "qcow" }, { "tap2:qcow:", "qcow" },
        { "tap:vhd:", "vhd" }, { "tap2:vhd:", "vhd" },
        { "tap:vmdk:", "vmdk" }, { "tap2:vmdk:", "vmdk" },
        { "aio:", "raw" }, { "raw:", "raw" }, { "qcow2:", "qcow2" },
        { "qcow:", "qcow" }, { "vhd:", "vhd" },
    };
    const char *colon;

    for (int i = 0; i < ARRAY_SIZE(prefixes); i++) {
        if (g_str_has_prefix(*source, prefixes[i].prefix)) {
            *source += strlen(prefixes[i].prefix);
            disk->is_block = prefixes[i].is_block;
            *had = true;
            return guest_set_disk_format(g, disk, prefixes[i].format, errp);
        }
    }
    colon = strchr(*source, ':');
    if (colon && (*source)[0] != '/') {
        guest_error(g, disk->line, errp, "disk: '%.*s' is not a known kind of "
                    "source", (int)(colon + 1 - *source), *source);
        return false;
    }
    return true;
}

static bool set_source(Guest *g, GuestDisk *disk, const char *source,
                       bool *had_prefix, Error **errp)
{
    if (!parse_prefix(g, disk, &source, had_prefix, errp)) {
        return false;
    }
    /* xm's phy: names are relative to /dev */
    if (disk->is_block && source[0] && source[0] != '/') {
        disk->source = g_strconcat("/dev/", source, NULL);
    } else if (source[0]) {
        disk->source = g_strdup(source);
    }
    if (disk->source && g_str_has_prefix(disk->source, "/dev/")) {
        disk->is_block = true;
    }
    return true;
}

/*
 * Both syntaxes of a disk at once: xm's "SOURCE,VDEV[:cdrom],MODE" and xl's
 * "TARGET,FORMAT,VDEV,ACCESS" with "KEY=VALUE" in any place.
 */
static bool parse_disk(Guest *g, const Value *v, Error **errp)
{
    const char *text = want_string(g, "disk", v, errp);
    g_auto(GStrv) words = NULL;
    enum { SOURCE, FORMAT, VDEV, ACCESS, TOO_MANY } next = SOURCE;
    bool prefix = false;
    const char *here, *after = text;
    GuestDisk *disk;

    if (!text) {
        return false;
    }
    disk = guest_add_disk(g, v->line);
    words = g_strsplit(text, ",", 32);
    for (char **w = words; *w; w++) {
        g_autofree char *key = g_strdup(*w);
        char *value = NULL;

        here = after;
        after = after ? strchr(after, ',') : NULL;
        after = after ? after + 1 : NULL;

        g_strstrip(*w);
        if (next != SOURCE || g_str_has_prefix(g_strchug(key), "target") ||
            g_str_has_prefix(key, "format") || g_str_has_prefix(key, "vdev") ||
            g_str_has_prefix(key, "access") || g_str_has_prefix(key, "dev")) {
            value = split_key(key);
        } else {
            g_strstrip(key);
        }
        if (value && !strcmp(key, "target")) {
            /* It takes all that follows, commas too */
            here = strchr(here, '=') + 1;
            if (!set_source(g, disk, here + strspn(here, " "), &prefix, errp)) {
                return false;
            }
            break;
        } else if (value && !strcmp(key, "format")) {
            if (!guest_set_disk_format(g, disk, value, errp)) {
                return false;
            }
            next = MAX(next, VDEV);
        } else if (value && !strcmp(key, "vdev")) {
            if (!guest_set_vdev(g, disk, value, errp)) {
                return false;
            }
            next = MAX(next, ACCESS);
        } else if (value && !strcmp(key, "access")) {
            if (!parse_access(g, disk, value, errp)) {
                return false;
            }
            next = TOO_MANY;
        } else if (value && !strcmp(key, "devtype")) {
            disk->is_cdrom = !strcmp(value, "cdrom");
        } else if (value && (!strcmp(key, "backendtype") ||
                             !strcmp(key, "backend") ||
                             !strcmp(key, "script"))) {
            if (strcmp(key, "backendtype")) {
                guest_note(g, v->line, "disk: '%s=%s' is not carried", key,
                           value);
            }
        } else if (value) {
            guest_error(g, v->line, errp, "disk: '%s' is not something that a "
                        "disk has", key);
            return false;
        } else if (!strcmp(key, "cdrom")) {
            disk->is_cdrom = true;
        } else if (!strcmp(key, "discard") || !strcmp(key, "no-discard")) {
            disk->discard = key[0] == 'd';
        } else if (!strcmp(key, "direct-io-safe")) {
            /* It always is */
        } else if (next == SOURCE) {
            if (!set_source(g, disk, key, &prefix, errp)) {
                return false;
            }
            if (w[1]) {
                g_strchug(w[1]);
            }
            next = prefix || (w[1] && w[1][0] && !is_format(w[1])) ? VDEV
                                                                   : FORMAT;
        } else if (next == FORMAT) {
            if (!guest_set_disk_format(g, disk, key, errp)) {
                return false;
            }
            next = VDEV;
        } else if (next == VDEV) {
            char *colon;

            if (g_str_has_prefix(key, "ioemu:")) {
                memmove(key, key + 6, strlen(key + 6) + 1);
            }
            colon = strchr(key, ':');
            if (colon && !strcmp(colon, ":cdrom")) {
                disk->is_cdrom = true;
                *colon = 0;
            } else if (colon && !strcmp(colon, ":disk")) {
                *colon = 0;
            }
            if (!guest_set_vdev(g, disk, key, errp)) {
                return false;
            }
            next = ACCESS;
        } else if (next == ACCESS) {
            if (!parse_access(g, disk, key, errp)) {
                return false;
            }
            next = TOO_MANY;
        } else {
            guest_error(g, v->line, errp, "disk: '%s' is one word too many",
                        key);
            return false;
        }
    }
    if (disk->is_cdrom) {
        disk->readonly = true;
    }
    return true;
}

static bool parse_vif(Guest *g, const Value *v, Error **errp)
{
    const char *text = want_string(g, "vif", v, errp);
    g_auto(GStrv) words = NULL;
    GuestNic *nic;

    if (!text) {
        return false;
    }
    nic = guest_add_nic(g, v->line);
    words = g_strsplit(text, ",", 32);
    for (char **w = words; *w; w++) {
        char *value = split_key(*w);

        if (!**w && !value) {
            continue;
        }
        if (!value) {
            guest_error(g, v->line, errp, "vif: '%s' is not of the form "
                        "NAME=VALUE", *w);
            return false;
        }
        if (!strcmp(*w, "mac")) {
            if (!guest_set_mac(g, nic, value, errp)) {
                return false;
            }
        } else if (!strcmp(*w, "bridge")) {
            if (!value[0] || strpbrk(value, "/ \t")) {
                guest_error(g, v->line, errp, "vif: '%s' is not the name of a "
                            "bridge", value);
                return false;
            }
            g_free(nic->bridge);
            nic->bridge = g_strdup(value);
        } else if (!strcmp(*w, "vifname")) {
            g_free(nic->ifname);
            nic->ifname = g_strdup(value);
        } else if (!strcmp(*w, "script") || !strcmp(*w, "ip") ||
                   !strcmp(*w, "backend") || !strcmp(*w, "rate") ||
                   !strcmp(*w, "gatewaydev") || !strcmp(*w, "netdev") ||
                   !strcmp(*w, "gw") || !strcmp(*w, "mtu") ||
                   !strcmp(*w, "accel") || !strcmp(*w, "trusted") ||
                   !strcmp(*w, "model") || !strcmp(*w, "type")) {
            if (strcmp(*w, "type") || !strcmp(value, "ioemu")) {
                guest_note(g, v->line, "vif: '%s=%s' is not carried", *w,
                           value);
            }
        } else {
            guest_error(g, v->line, errp, "vif: '%s' is not something that a "
                        "vif has", *w);
            return false;
        }
    }
    return true;
}

static bool parse_vfb(Guest *g, const Value *v, Error **errp)
{
    const char *text = want_string(g, "vfb", v, errp);
    g_auto(GStrv) words = NULL;
    GuestDisplay *d = &g->display;

    if (!text) {
        return false;
    }
    if (d->present) {
        guest_note(g, v->line, "vfb: a guest has only one framebuffer here");
        return true;
    }
    d->present = true;
    d->line = v->line;
    words = g_strsplit(text, ",", 32);
    for (char **w = words; *w; w++) {
        char *value = split_key(*w);
        uint64_t n;

        if (!**w && !value) {
            continue;
        }
        if (!value) {
            guest_error(g, v->line, errp, "vfb: '%s' is not of the form "
                        "NAME=VALUE", *w);
            return false;
        }
        if (!strcmp(*w, "type") || !strcmp(*w, "sdl") || !strcmp(*w, "vnc")) {
            if (!strcmp(*w, "type") && strcmp(value, "vnc") &&
                strcmp(value, "sdl")) {
                guest_error(g, v->line, errp, "vfb: '%s' is not a type of "
                            "display (vnc, sdl)", value);
                return false;
            }
            if (!strcmp(value, "sdl") ||
                (!strcmp(*w, "sdl") && !strcmp(value, "1"))) {
                d->is_sdl = true;
            }
        } else if (!strcmp(*w, "vncdisplay")) {
            if (qemu_strtou64(value, NULL, 10, &n) < 0 || n > 59635) {
                guest_error(g, v->line, errp, "vfb: '%s' is not the number of "
                            "a display", value);
                return false;
            }
            d->display = n;
        } else if (!strcmp(*w, "vncunused")) {
            if (!strcmp(value, "1")) {
                d->display = -1;
            }
        } else if (!strcmp(*w, "vnclisten")) {
            char *colon = strrchr(value, ':');

            if (colon && strchr(value, ':') == colon &&
                !qemu_strtou64(colon + 1, NULL, 10, &n) && n <= 59635) {
                d->display = n;
                *colon = 0;
            }
            g_free(d->listen);
            d->listen = g_strdup(value);
        } else if (!strcmp(*w, "vncpasswd")) {
            g_free(d->password);
            d->password = value[0] ? g_strdup(value) : NULL;
        } else if (!strcmp(*w, "keymap")) {
            g_free(d->keymap);
            d->keymap = g_strdup(value);
        } else if (!strcmp(*w, "display") || !strcmp(*w, "xauthority") ||
                   !strcmp(*w, "opengl") || !strcmp(*w, "videoram")) {
            guest_note(g, v->line, "vfb: '%s=%s' is not carried", *w, value);
        } else {
            guest_error(g, v->line, errp, "vfb: '%s' is not something that a "
                        "vfb has", *w);
            return false;
        }
    }
    return true;
}

static bool each(Guest *g, const char *name, const Value *v,
                 bool (*parse)(Guest *g, const Value *v, Error **errp),
                 Error **errp)
{
    if (v->type == VALUE_NONE) {
        return true;
    }
    if (v->type == VALUE_STRING && v->string[0]) {
        return parse(g, v, errp);
    }
    if (v->type == VALUE_STRING) {
        return true;
    }
    if (!want(g, name, v, VALUE_LIST, errp)) {
        return false;
    }
    for (int i = 0; i < v->list->len; i++) {
        if (!parse(g, v->list->pdata[i], errp)) {
            return false;
        }
    }
    return true;
}

static const Value *look_up(Parser *s, const char *name)
{
    const Value *v = g_hash_table_lookup(s->vars, name);

    if (v && (v->type == VALUE_NONE ||
              (v->type == VALUE_STRING && !v->string[0]))) {
        return NULL;
    }
    return v;
}

/* root=, ip= and so on, as xm and xl put them together */
static bool parse_cmdline(Parser *s, Error **errp)
{
    static const struct {
        const char *name, *prefix;
    } parts[] = {
        { "ip", "ip=" }, { "root", "root=" }, { "extra", "" },
    };
    const Value *whole = look_up(s, "cmdline"), *v;
    g_autoptr(GString) out = g_string_new(NULL);
    Guest *g = s->g;
    const char *text;

    if (whole) {
        text = want_string(g, "cmdline", whole, errp);
        if (!text) {
            return false;
        }
        g_string_append(out, text);
    }
    for (int i = 0; i < ARRAY_SIZE(parts); i++) {
        v = look_up(s, parts[i].name);
        if (!v) {
            continue;
        }
        if (whole) {
            guest_note(g, v->line, "'%s' does not count beside 'cmdline'",
                       parts[i].name);
            continue;
        }
        text = want_string(g, parts[i].name, v, errp);
        if (!text) {
            return false;
        }
        g_string_append_printf(out, "%s%s%s", out->len ? " " : "",
                               parts[i].prefix, text);
    }
    if (out->len) {
        g->cmdline = g_strdelimit(g_strdup(out->str), "\t", ' ');
    }
    return true;
}

/* The kind of guest: only PV ones can be had here */
static bool check_kind(Parser *s, Error **errp)
{
    static const struct {
        const char *name, *pv[4];
    } kinds[] = {
        { "type", { "pv", "generic", "linux" } },
        { "builder", { "pv", "generic", "linux" } },
    };

    for (int i = 0; i < ARRAY_SIZE(kinds); i++) {
        const Value *v = look_up(s, kinds[i].name);
        const char *text;
        bool pv = false;

        if (!v) {
            continue;
        }
        text = want_string(s->g, kinds[i].name, v, errp);
        if (!text) {
            return false;
        }
        for (int j = 0; kinds[i].pv[j]; j++) {
            pv |= !strcmp(text, kinds[i].pv[j]);
        }
        if (!pv) {
            guest_error(s->g, v->line, errp, "%s: '%s' is not a PV guest; an "
                        "HVM or PVH guest needs no Xen: run it on QEMU's usual "
                        "machines", kinds[i].name, text);
            return false;
        }
    }
    return true;
}

static bool parse_setting(Parser *s, const char *name, const Value *v,
                          Error **errp)
{
    /* Those that have their place elsewhere, or none that is missed */
    static const char *const silent[] = {
        "root", "extra", "cmdline", "ip", "type", "builder", "maxmem",
        "ramdisk", "kernel", "bootloader", "netmask", "gateway", "hostname",
        "pae", "acpi", "apic", "device_model", "boot", "vnc", "sdl", "serial",
        "nographic", "stdvga", "xen_platform_pci", "viridian", "hap",
        "usbdevice", "usb", "localtime", "vncunused", "vnclisten", "keymap",
        "vncpasswd", "vncdisplay", "vncviewer", "vncconsole", "on_watchdog",
        "maxvcpus", "vcpu_avail",
    };
    static const char *const in_words[] = {
        "netmask", "gateway", "hostname", "localtime", "serial", "vcpu_avail",
        "vnc", "sdl",
    };
    Guest *g = s->g;
    const char *text;
    uint64_t n;

    if (v->type == VALUE_NONE ||
        (v->type == VALUE_STRING && !v->string[0])) {
        return true;
    }
    if (!strcmp(name, "name") || !strcmp(name, "uuid") ||
        g_str_has_prefix(name, "on_")) {
        text = want_string(g, name, v, errp);
        if (!text) {
            return false;
        }
        if (!strcmp(name, "name")) {
            return guest_set_name(g, v->line, text, errp);
        }
        if (!strcmp(name, "uuid")) {
            return guest_set_uuid(g, v->line, text, errp);
        }
        if (!strcmp(name, "on_poweroff") || !strcmp(name, "on_reboot") ||
            !strcmp(name, "on_crash")) {
            return guest_set_action(g, v->line, name, text, errp);
        }
    }
    if (!strcmp(name, "memory")) {
        return want_number(g, name, v, &n, errp) &&
               guest_set_memory(g, v->line, MIN(n, UINT64_MAX / 1024) * 1024,
                                errp);
    }
    if (!strcmp(name, "vcpus")) {
        return want_number(g, name, v, &n, errp) &&
               guest_set_vcpus(g, v->line, n, errp);
    }
    if (!strcmp(name, "disk")) {
        g->disk_line = v->line;
        return each(g, name, v, parse_disk, errp);
    }
    if (!strcmp(name, "vif")) {
        return each(g, name, v, parse_vif, errp);
    }
    if (!strcmp(name, "vfb")) {
        return each(g, name, v, parse_vfb, errp);
    }
    for (int i = 0; i < ARRAY_SIZE(in_words); i++) {
        if (!strcmp(name, in_words[i]) &&
            !(v->type == VALUE_NUMBER && !v->number)) {
            guest_note(g, v->line, "'%s' is not carried", name);
            return true;
        }
    }
    for (int i = 0; i < ARRAY_SIZE(silent); i++) {
        if (!strcmp(name, silent[i])) {
            return true;
        }
    }
    if (v->type != VALUE_UNKNOWN) {
        guest_note(g, v->line, "'%s' is not carried", name);
    }
    return true;
}

static bool parse_kernel(Parser *s, Error **errp)
{
    const Value *kernel = look_up(s, "kernel");
    const Value *ramdisk = look_up(s, "ramdisk");
    const Value *loader = look_up(s, "bootloader");
    const char *text;
    Guest *g = s->g;

    if (loader) {
        text = want_string(g, "bootloader", loader, errp);
        if (!text || !guest_set_bootloader(g, loader->line, text, errp)) {
            return false;
        }
        g->kernel_line = loader->line;
        if (kernel) {
            guest_note(g, kernel->line, "'kernel' does not count beside "
                       "'bootloader'");
        }
        if (ramdisk) {
            guest_note(g, ramdisk->line, "'ramdisk' does not count beside "
                       "'bootloader'");
        }
        return true;
    }
    if (kernel) {
        text = want_string(g, "kernel", kernel, errp);
        if (!text || !guest_set_kernel(g, kernel->line, text, errp)) {
            return false;
        }
    }
    if (ramdisk) {
        text = want_string(g, "ramdisk", ramdisk, errp);
        if (!text) {
            return false;
        }
        if (kernel && !g->kernel) {
            guest_note(g, ramdisk->line, "'ramdisk' of a PV GRUB is not "
                       "carried");
        } else {
            g->ramdisk = g_strdup(text);
        }
    }
    return true;
}

static bool parse_settings(Parser *s, Error **errp)
{
    Guest *g = s->g;
    const Value *v;
    uint64_t n;

    if (!check_kind(s, errp) || !parse_kernel(s, errp)) {
        return false;
    }
    for (int i = 0; i < s->order->len; i++) {
        const char *name = s->order->pdata[i];

        if (!parse_setting(s, name, g_hash_table_lookup(s->vars, name),
                           errp)) {
            return false;
        }
    }
    v = look_up(s, "maxmem");
    if (v) {
        if (!want_number(g, "maxmem", v, &n, errp)) {
            return false;
        }
        if (n < g->memory_mib) {
            guest_error(g, v->line, errp, "maxmem: it is less than memory, "
                        "%" PRIu64 " MiB", g->memory_mib);
            return false;
        }
        if (n > g->memory_mib && g->memory_mib) {
            guest_note(g, v->line, "'maxmem' is not carried: the guest has "
                       "%" PRIu64 " MiB for good", g->memory_mib);
        }
    }
    v = look_up(s, "maxvcpus");
    if (v) {
        if (!want_number(g, "maxvcpus", v, &n, errp)) {
            return false;
        }
        if (n > g->vcpus) {
            guest_note(g, v->line, "'maxvcpus' is not carried: the guest has "
                       "%u vCPUs for good", g->vcpus);
        }
    }
    if (!parse_cmdline(s, errp)) {
        return false;
    }
    if (!g->kernel && g->cmdline) {
        v = look_up(s, "cmdline") ?: look_up(s, "extra") ?: look_up(s, "root");
        guest_note(g, v ? v->line : 1, "the kernel's command line is not "
                   "carried: the guest's boot loader has its own");
        g_clear_pointer(&g->cmdline, g_free);
    }
    return true;
}

Guest *guest_parse_xl(const char *file, const char *text, Error **errp)
{
    g_autoptr(Guest) g = guest_new(file);
    Parser s = { .g = g, .p = text, .line = 1 };
    bool ok;

    s.vars = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, value_free);
    s.order = g_ptr_array_new_with_free_func(g_free);
    ok = read_file(&s, errp) && parse_settings(&s, errp) &&
         guest_check(g, errp);
    g_hash_table_unref(s.vars);
    g_ptr_array_unref(s.order);
    return ok ? g_steal_pointer(&g) : NULL;
}
