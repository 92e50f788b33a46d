/*
 * The tree of an XML document
 *
 * Builds a tree from the events of GLib's parser, as a configuration is small,
 * and a tree keeps the line of each element for messages. GLib's parser knows
 * no entities but XML's own five, so a document cannot grow by being read.
 * parse-xml.c interprets the elements.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_XML_TREE_H
#define TOOLS_XENPV_XML_TREE_H

/* An element. Namespace prefixes are part of the names. */
typedef struct XmlNode XmlNode;
struct XmlNode {
    char *name;
    int line;               /* where it begins, from 1 */
    GHashTable *attrs;      /* name to value, both char * */
    GString *text;          /* all text, without blanks around it */
    GPtrArray *children;    /* XmlNode *, in the document's order */
    XmlNode *parent;        /* NULL: the root */
};

/*
 * Reads @text, of @len bytes in UTF-8.
 *
 * Returns the root of the tree. Returns NULL with @error and *@line set if the
 * document is not well-formed, has no element, is nested more than 32 deep, or
 * has more than 65,536 elements.
 */
XmlNode *xml_tree_read(const char *text, size_t len, int *line,
                       GError **error);

/* Frees @n, which may be NULL, and everything below it */
void xml_tree_free(XmlNode *n);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(XmlNode, xml_tree_free)

/* The attribute @name of @n, which may be NULL; NULL if there is none */
const char *xml_attr(const XmlNode *n, const char *name);

/* The first child @name of @n, which may be NULL; NULL if there is none */
const XmlNode *xml_child(const XmlNode *n, const char *name);

#endif
