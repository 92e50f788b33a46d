/*
 * The tree of an XML document
 *
 * parse-xml.c calls this. The document is untrusted: its depth and its elements
 * are limited here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "xml-tree.h"

#define MAX_DEPTH   32
#define MAX_NODES   65536

typedef struct Reader {
    XmlNode *root, *at;
    unsigned depth, nodes;
    int line;           /* GLib's own line count runs ahead */
} Reader;

static void node_free(gpointer p)
{
    xml_tree_free(p);
}

void xml_tree_free(XmlNode *n)
{
    if (n) {
        g_free(n->name);
        g_hash_table_unref(n->attrs);
        g_string_free(n->text, true);
        g_ptr_array_unref(n->children);
        g_free(n);
    }
}

const char *xml_attr(const XmlNode *n, const char *name)
{
    return n ? g_hash_table_lookup(n->attrs, name) : NULL;
}

const XmlNode *xml_child(const XmlNode *n, const char *name)
{
    for (int i = 0; n && i < n->children->len; i++) {
        const XmlNode *c = n->children->pdata[i];

        if (!strcmp(c->name, name)) {
            return c;
        }
    }
    return NULL;
}

static void on_start(GMarkupParseContext *ctx, const char *name,
                     const char **keys, const char **values, gpointer opaque,
                     GError **error)
{
    Reader *r = opaque;
    XmlNode *n;

    if (++r->depth > MAX_DEPTH || ++r->nodes > MAX_NODES) {
        g_set_error(error, G_MARKUP_ERROR, G_MARKUP_ERROR_INVALID_CONTENT,
                    "there are too many elements");
        return;
    }
    if (!r->at && r->root) {
        /* GLib accepts a second root element */
        g_set_error(error, G_MARKUP_ERROR, G_MARKUP_ERROR_INVALID_CONTENT,
                    "<%s> comes after the end of <%s>", name, r->root->name);
        return;
    }
    n = g_new0(XmlNode, 1);
    n->line = r->line;
    n->name = g_strdup(name);
    n->attrs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    n->text = g_string_new(NULL);
    n->children = g_ptr_array_new_with_free_func(node_free);
    n->parent = r->at;
    for (int i = 0; keys[i]; i++) {
        g_hash_table_insert(n->attrs, g_strdup(keys[i]), g_strdup(values[i]));
    }
    if (r->at) {
        g_ptr_array_add(r->at->children, n);
    } else {
        r->root = n;
    }
    r->at = n;
}

static void on_end(GMarkupParseContext *ctx, const char *name, gpointer opaque,
                   GError **error)
{
    Reader *r = opaque;

    g_strstrip(r->at->text->str);
    r->at->text->len = strlen(r->at->text->str);
    r->at = r->at->parent;
    r->depth--;
}

static void on_text(GMarkupParseContext *ctx, const char *text, gsize len,
                    gpointer opaque, GError **error)
{
    Reader *r = opaque;

    if (r->at) {
        g_string_append_len(r->at->text, text, len);
    }
}

/* Parses each line and each newline by itself, so that r->line is exact */
static bool read_text(GMarkupParseContext *ctx, Reader *r, const char *text,
                      size_t len, GError **error)
{
    const char *end = text + len;

    for (r->line = 1; text < end; r->line++) {
        const char *eol = memchr(text, '\n', end - text) ?: end;

        if (!g_markup_parse_context_parse(ctx, text, eol - text, error) ||
            (eol < end &&
             !g_markup_parse_context_parse(ctx, eol, 1, error))) {
            return false;
        }
        text = eol + 1;
    }
    return g_markup_parse_context_end_parse(ctx, error);
}

/* Removes the position that GLib puts in front of its messages */
static void without_place(GError *error)
{
    const char *place = strstr(error->message, ": ");
    char *reason;

    if (place && g_str_has_prefix(error->message, "Error on line")) {
        reason = g_strdup(place + 2);
        g_free(error->message);
        error->message = reason;
    }
}

XmlNode *xml_tree_read(const char *text, size_t len, int *line, GError **error)
{
    static const GMarkupParser parser = {
        .start_element = on_start,
        .end_element = on_end,
        .text = on_text,
    };
    g_autoptr(GMarkupParseContext) ctx = NULL;
    g_autoptr(XmlNode) root = NULL;
    GError *reason = NULL;
    Reader r = { };
    bool ok;

    ctx = g_markup_parse_context_new(&parser, G_MARKUP_TREAT_CDATA_AS_TEXT, &r,
                                     NULL);
    ok = read_text(ctx, &r, text, len, &reason);
    root = r.root;
    *line = r.line;
    if (!ok) {
        without_place(reason);
        g_propagate_error(error, reason);
        return NULL;
    }
    if (!root) {
        /* GLib accepts a document without elements */
        *line = 1;
        g_set_error(error, G_MARKUP_ERROR, G_MARKUP_ERROR_EMPTY,
                    "there is no element in it");
        return NULL;
    }
    return g_steal_pointer(&root);
}
