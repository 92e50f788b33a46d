/*
 * The language of xl's and xm's configuration files
 *
 * parse-xl.c reads a file by this, and parse-listing.c builds settings by it.
 * It executes nothing, and limits how much variables can inflate a small file.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "xl-language.h"

#define MAX_NESTING 8
/*
 * Values, and bytes of strings, in total. Each use of a variable copies it, so
 * each line of a file can double what there is.
 */
#define MAX_VALUES  65536
#define MAX_BYTES   (4 * GUEST_TEXT_MAX)

typedef struct Parser {
    Guest *g;
    const char *p;
    int line;
    unsigned nesting;       /* open brackets: newlines are blanks in them */
    unsigned values;        /* so far, at most MAX_VALUES */
    size_t bytes;           /* so far, at most MAX_BYTES */
    XlSettings *out;
} Parser;

static void xl_value_free(gpointer p)
{
    XlValue *v = p;

    if (v) {
        g_free(v->string);
        if (v->list) {
            g_ptr_array_unref(v->list);
        }
        g_free(v);
    }
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(XlValue, xl_value_free)

/* Returns a new value for @bytes of text; NULL if a limit is reached */
static XlValue *value_new(Parser *s, XlType type, int line, size_t bytes,
                          Error **errp)
{
    XlValue *v;

    if (++s->values > MAX_VALUES || bytes > MAX_BYTES - s->bytes) {
        guest_error(s->g, line, errp, "there are too many values, or too long "
                    "ones");
        return NULL;
    }
    s->bytes += bytes;
    v = g_new0(XlValue, 1);
    v->type = type;
    v->line = line;
    if (type == XL_LIST) {
        v->list = g_ptr_array_new_with_free_func(xl_value_free);
    }
    return v;
}

static XlValue *value_copy(Parser *s, const XlValue *from, int line,
                           Error **errp);

/* Appends copies of the items of @from */
static bool list_append(Parser *s, XlValue *v, const XlValue *from,
                        Error **errp)
{
    for (int i = 0; i < from->list->len; i++) {
        XlValue *item = from->list->pdata[i];

        item = value_copy(s, item, item->line, errp);
        if (!item) {
            return false;
        }
        g_ptr_array_add(v->list, item);
    }
    v->depth = MAX(v->depth, from->depth);
    return true;
}

static XlValue *value_copy(Parser *s, const XlValue *from, int line,
                           Error **errp)
{
    g_autoptr(XlValue) v = value_new(s, from->type, line, from->string ?
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

/* Prepends @before to the string @v */
static bool string_prepend(Parser *s, XlValue *v, const char *before,
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

/* Skips blanks, comments and continued lines, and within brackets newlines */
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

/*
 * Reads Python's escape after a backslash, and returns its character, or 0 if
 * that is not ASCII. If it is no escape, returns the backslash and reads
 * nothing.
 */
static char read_escape(Parser *s)
{
    static const char from[] = "abfnrtv\\'\"", to[] = "\a\b\f\n\r\t\v\\'\"";
    const char *found = *s->p ? strchr(from, *s->p) : NULL;
    const char *start = s->p;
    unsigned code = 0;

    if (found) {
        s->p++;
        return to[found - from];
    }
    if (*s->p == 'x' && g_ascii_isxdigit(s->p[1]) &&
        g_ascii_isxdigit(s->p[2])) {
        code = g_ascii_xdigit_value(s->p[1]) << 4 |
               g_ascii_xdigit_value(s->p[2]);
        s->p += 3;
        return code < 0x80 ? code : 0;
    }
    while (s->p - start < 3 && *s->p >= '0' && *s->p <= '7') {
        code = code << 3 | (*s->p++ - '0');
    }
    return s->p == start ? '\\' : code < 0x80 ? code : 0;
}

/* @raw: backslashes stay as they are, but a quote after one ends no string */
static XlValue *read_string(Parser *s, bool raw, Error **errp)
{
    g_autoptr(GString) out = g_string_new(NULL);
    int line = s->line;
    char quote = *s->p;
    bool triple = s->p[1] == quote && s->p[2] == quote;
    XlValue *v;

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
        } else if (c == '\\' && raw) {
            if (*s->p == quote || *s->p == '\\') {
                g_string_append_c(out, c);
                c = *s->p++;
            }
        } else if (c == '\\') {
            if (*s->p == '\n') {
                s->line++;
                s->p++;
                continue;
            }
            c = read_escape(s);
            if (!c) {
                guest_error(s->g, s->line, errp, "an escape that is no ASCII "
                            "character: write the character itself");
                return NULL;
            }
        }
        g_string_append_c(out, c);
    }
    s->p += triple ? 3 : 1;
    v = value_new(s, XL_STRING, line, out->len, errp);
    if (v) {
        v->string = g_string_free(g_steal_pointer(&out), false);
    }
    return v;
}

static XlValue *read_number(Parser *s, Error **errp)
{
    g_autoptr(XlValue) v = value_new(s, XL_NUMBER, s->line, 0, errp);
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
    v->string = g_strndup(s->p, end - s->p);
    s->p = end;
    return g_steal_pointer(&v);
}

static XlValue *read_value(Parser *s, Error **errp);

static XlValue *read_list(Parser *s, Error **errp)
{
    g_autoptr(XlValue) v = value_new(s, XL_LIST, s->line, 0, errp);
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
        XlValue *item;

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
        /* The item may be a variable, and so a list of any depth */
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
        /* Not a tuple, but a value in brackets */
        return g_ptr_array_steal_index(v->list, 0);
    }
    return g_steal_pointer(&v);
}

/*
 * Skips an expression that we do not understand. Keeps track of brackets and
 * strings to find its end.
 */
static XlValue *skip_unknown(Parser *s, const char *start, int line,
                             Error **errp)
{
    unsigned depth = 0;
    XlValue *v;

    for (;; s->p++) {
        char c = *s->p;

        if (c == '\'' || c == '"') {
            g_autoptr(XlValue) string = read_string(s, false, errp);

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
    v = value_new(s, XL_UNKNOWN, line, 60, errp);
    if (!v) {
        return NULL;
    }
    v->string = g_strndup(start, MIN(s->p - start, 60));
    g_strdelimit(v->string, "\r\n\t", ' ');
    g_strchomp(v->string);
    return v;
}

static XlValue *read_atom(Parser *s, Error **errp)
{
    const char *start = s->p;
    int line = s->line;
    g_autofree char *name = NULL;
    XlValue *v;

    if (*s->p == '\'' || *s->p == '"') {
        return read_string(s, false, errp);
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
    /* u'text' and r'text' (a raw string) */
    if ((*s->p == '\'' || *s->p == '"') && strlen(name) == 1 &&
        strchr("uUrR", name[0])) {
        return read_string(s, g_ascii_tolower(name[0]) == 'r', errp);
    }
    if (*s->p == '.' || *s->p == '(' || *s->p == '[' || *s->p == '\'' ||
        *s->p == '"') {
        return skip_unknown(s, start, line, errp);
    }
    if (!strcmp(name, "None")) {
        return value_new(s, XL_NONE, line, 0, errp);
    }
    if (!strcmp(name, "True") || !strcmp(name, "False")) {
        v = value_new(s, XL_NUMBER, line, 0, errp);
        if (v) {
            v->number = name[0] == 'T';
        }
        return v;
    }
    v = g_hash_table_lookup(s->out->vars, name);
    if (!v) {
        return skip_unknown(s, start, line, errp);
    }
    v->used = true;
    return value_copy(s, v, line, errp);
}

/*
 * Appends a number in Python's format @how, like 'x' or 'd', with at least
 * @width characters; false if there is no such format
 */
static bool format_number(GString *out, char how, char pad, int width,
                          int64_t number)
{
    uint64_t size = number < 0 ? -(uint64_t)number : (uint64_t)number;
    g_autofree char *digits = NULL;
    const char *sign = number < 0 ? "-" : "";
    int missing;

    if (how == 'x' || how == 'X' || how == 'o') {
        digits = g_strdup_printf(how == 'x' ? "%" PRIx64 : how == 'X' ?
                                 "%" PRIX64 : "%" PRIo64, size);
    } else if (how && strchr("dius", how)) {
        digits = g_strdup_printf("%" PRIu64, size);
    } else {
        return false;
    }
    missing = MAX(0, width - (int)strlen(digits) - (number < 0));
    /* Zeros go between sign and digits, blanks before the sign */
    if (pad == '0' && how != 's') {
        g_string_append(out, sign);
        sign = "";
    }
    for (int i = 0; i < missing; i++) {
        g_string_append_c(out, how == 's' ? ' ' : pad);
    }
    g_string_append_printf(out, "%s%s", sign, digits);
    return true;
}

/*
 * Python's FORMAT % VALUES: %s, %d, %i, %u, %x, %X, %o, also with a width, and
 * %%. @values is one value or a tuple. Returns NULL without @errp set if the
 * format is not understood.
 */
static XlValue *format_string(Parser *s, const XlValue *format,
                              const XlValue *values, Error **errp)
{
    g_autoptr(GString) out = g_string_new(NULL);
    unsigned used = 0, n = values->type == XL_LIST ? values->list->len : 1;
    XlValue *v;

    for (const char *p = format->string; *p; p++) {
        const XlValue *item;
        int width = 0, pad;

        if (*p != '%') {
            g_string_append_c(out, *p);
            continue;
        }
        p++;
        if (*p == '%') {
            g_string_append_c(out, '%');
            continue;
        }
        pad = *p == '0' ? '0' : ' ';
        while (g_ascii_isdigit(*p) && width < 100) {
            width = width * 10 + *p++ - '0';
        }
        item = used < n ? values->type == XL_LIST ? values->list->pdata[used]
                                                  : values : NULL;
        used++;
        if (item && item->type == XL_NUMBER && width < 100 &&
            format_number(out, *p, pad, width, item->number)) {
            continue;
        } else if (item && item->type == XL_STRING && *p == 's' &&
                   width < 100) {
            g_string_append_printf(out, "%*s", width, item->string);
        } else {
            return NULL;
        }
    }
    if (used != n) {
        return NULL;
    }
    v = value_new(s, XL_STRING, format->line, out->len, errp);
    if (v) {
        v->string = g_string_free(g_steal_pointer(&out), false);
    }
    return v;
}

/* Reads an atom, and applies % operators to it */
static XlValue *read_term(Parser *s, Error **errp)
{
    const char *start = s->p;
    int line = s->line;
    g_autoptr(XlValue) v = read_atom(s, errp);

    while (v) {
        g_autoptr(XlValue) values = NULL;
        XlValue *made;
        Error *err = NULL;
        bool tuple;

        skip_blanks(s);
        if (*s->p != '%' || v->type != XL_STRING) {
            break;
        }
        s->p++;
        skip_blanks(s);
        tuple = *s->p == '(';
        values = read_atom(s, errp);
        if (!values) {
            return NULL;
        }
        /* For % a tuple is several values, but a list is one */
        made = values->type == XL_LIST && !tuple ? NULL :
               format_string(s, v, values, &err);
        if (err) {
            error_propagate(errp, err);
            return NULL;
        }
        if (!made) {
            return skip_unknown(s, start, line, errp);
        }
        xl_value_free(v);
        v = made;
    }
    return g_steal_pointer(&v);
}

/* Reads one value: terms joined by +, or strings side by side */
static XlValue *read_value(Parser *s, Error **errp)
{
    const char *start;
    int line;
    g_autoptr(XlValue) v = NULL;

    skip_blanks(s);
    start = s->p;
    line = s->line;
    v = read_term(s, errp);
    while (v) {
        g_autoptr(XlValue) next = NULL;
        XlValue *swap;

        skip_blanks(s);
        if (!*s->p || strchr("\n,;)]0123456789", *s->p)) {
            break;
        }
        if (*s->p == '+') {
            s->p++;
            skip_blanks(s);
        } else if (v->type != XL_STRING ||
                   (*s->p != '\'' && *s->p != '"')) {
            return skip_unknown(s, start, line, errp);
        }
        next = read_term(s, errp);
        if (!next) {
            return NULL;
        }
        if (next->type != v->type || v->type == XL_NONE) {
            next->type = XL_UNKNOWN;
        }
        switch (next->type) {
        case XL_STRING:
            if (!string_prepend(s, next, v->string, errp)) {
                return NULL;
            }
            swap = v;
            v = next;
            next = swap;
            v->line = next->line;
            break;
        case XL_NUMBER:
            if (__builtin_add_overflow(v->number, next->number, &v->number)) {
                guest_error(s->g, line, errp, "the number is too large");
                return NULL;
            }
            g_clear_pointer(&v->string, g_free);
            break;
        case XL_LIST:
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

/* NAME += *v: sets *v to the sum of @old and *v */
static bool append_value(Parser *s, const char *name, const XlValue *old,
                         XlValue **v, Error **errp)
{
    int line = (*v)->line;

    if (old->type != (*v)->type ||
        (old->type != XL_LIST && old->type != XL_STRING)) {
        guest_error(s->g, line, errp, "'%s' is not of the kind that it was in "
                    "line %d", name, old->line);
        return false;
    }
    if (old->type == XL_STRING) {
        return string_prepend(s, *v, old->string, errp);
    } else {
        g_autoptr(XlValue) added = *v;

        *v = value_copy(s, old, line, errp);
        return *v && list_append(s, *v, added, errp);
    }
}

static bool read_statement(Parser *s, Error **errp)
{
    static const char *const harmless[] = { "import", "from", "pass" };
    static const char *const control[] = {
        "if", "elif", "else", "for", "while", "def", "class", "try", "except",
        "finally", "with", "return", "exec", "del", "global", "raise", "print",
        "assert", "lambda",
    };
    g_autofree char *name = NULL;
    g_autoptr(XlValue) v = NULL;
    XlValue *old;
    int line = s->line;
    size_t method;          /* the length of .append or .extend */
    bool append, one;

    if (!is_name_char(*s->p, true)) {
        guest_error(s->g, line, errp, "'%.*s' is not the beginning of a "
                    "setting", (int)MIN(strcspn(s->p, " \t\r\n="), 40), s->p);
        return false;
    }
    name = read_name(s);
    for (int i = 0; i < ARRAY_SIZE(harmless); i++) {
        if (!strcmp(name, harmless[i])) {
            s->p += strcspn(s->p, "\n;");
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
    method = g_str_has_prefix(s->p, ".append(") ? strlen(".append") :
             g_str_has_prefix(s->p, ".extend(") ? strlen(".extend") : 0;
    append = method || g_str_has_prefix(s->p, "+=");
    one = g_str_has_prefix(s->p, ".append(");
    s->p += method ? method : append ? 1 : 0;
    if (*s->p == '.' || (*s->p == '(' && !method)) {
        guest_error(s->g, line, errp, "Python's '%s%.*s' is not run: write "
                    "down what comes out of it", name,
                    (int)MIN(strcspn(s->p, " \t\r\n("), 40), s->p);
        return false;
    }
    if (!method && (*s->p != '=' || s->p[1] == '=')) {
        guest_error(s->g, line, errp, "after '%s' there is no '='", name);
        return false;
    }
    s->p += !method;
    v = read_value(s, errp);
    if (!v) {
        return false;
    }
    if (one) {
        /* .append() adds one item, so make it a list for append_value() */
        XlValue *list = value_new(s, XL_LIST, line, 0, errp);

        if (!list) {
            return false;
        }
        list->depth = v->depth + 1;
        g_ptr_array_add(list->list, g_steal_pointer(&v));
        v = list;
        if (v->depth > MAX_NESTING) {
            guest_error(s->g, line, errp, "brackets are nested too deeply");
            return false;
        }
    }
    v->line = line;
    skip_blanks(s);
    if (*s->p == ',' || (*s->p && *s->p != '\n' && *s->p != ';')) {
        guest_error(s->g, s->line, errp, "there is more behind the value of "
                    "'%s'", name);
        return false;
    }
    old = g_hash_table_lookup(s->out->vars, name);
    if (append && old && !append_value(s, name, old, &v, errp)) {
        return false;
    }
    if (!old) {
        g_ptr_array_add(s->out->order, g_strdup(name));
    }
    g_hash_table_replace(s->out->vars, g_steal_pointer(&name),
                         g_steal_pointer(&v));
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
            /* A lone string is a comment in Python */
            g_autoptr(XlValue) v = read_string(s, false, errp);

            if (!v) {
                return false;
            }
        } else if (*s->p && !read_statement(s, errp)) {
            return false;
        }
    }
    return true;
}

void xl_settings_init(XlSettings *s)
{
    s->vars = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                    xl_value_free);
    s->order = g_ptr_array_new_with_free_func(g_free);
}

static XlValue *settings_value(XlSettings *s, const char *name, XlType type,
                               int line)
{
    XlValue *v = g_new0(XlValue, 1);

    v->type = type;
    v->line = line;
    if (name) {
        g_ptr_array_add(s->order, g_strdup(name));
        g_hash_table_replace(s->vars, g_strdup(name), v);
    }
    return v;
}

void xl_settings_add(XlSettings *s, const char *name, int line,
                     const char *text)
{
    settings_value(s, name, XL_STRING, line)->string = g_strdup(text);
}

void xl_settings_append(XlSettings *s, const char *name, int line,
                        const char *text)
{
    XlValue *list = g_hash_table_lookup(s->vars, name), *v;

    if (!list || list->type != XL_LIST) {
        list = settings_value(s, name, XL_LIST, line);
        list->list = g_ptr_array_new_with_free_func(xl_value_free);
    }
    v = settings_value(s, NULL, XL_STRING, line);
    v->string = g_strdup(text);
    g_ptr_array_add(list->list, v);
}

bool xl_read(XlSettings *s, const char *text, Error **errp)
{
    Parser parser = { .g = s->g, .p = text, .line = 1, .out = s };

    xl_settings_init(s);
    return read_file(&parser, errp);
}

void xl_settings_clear(XlSettings *s)
{
    g_hash_table_unref(s->vars);
    g_ptr_array_unref(s->order);
}

/* --- What a setting must be ----------------------------------------------- */

bool xl_want(Guest *g, const char *name, const XlValue *v, XlType type,
             Error **errp)
{
    static const char *const kinds[] = {
        "nothing", "a number", "a string", "a list", "",
    };

    if (v->type == XL_UNKNOWN) {
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

const char *xl_want_string(Guest *g, const char *name, const XlValue *v,
                           Error **errp)
{
    if (v->type == XL_NUMBER && v->string) {
        return v->string;
    }
    if (!xl_want(g, name, v, XL_STRING, errp)) {
        return NULL;
    }
    if (strpbrk(v->string, "\n\r")) {
        guest_error(g, v->line, errp, "%s: it has a newline in it", name);
        return NULL;
    }
    return v->string;
}
