/*
 * The tree of an XML document
 *
 * The events of GLib's parser are made into a tree, which is then walked: a
 * configuration is small, and what stands where can be said with its line.
 * GLib's parser has no entities but XML's own five, so a document cannot grow
 * by reading it. What the elements mean is in parse-xml.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_XML_TREE_H
#define TOOLS_XENPV_XML_TREE_H

/* An element. Namespaces are part of the names */
typedef struct XmlNode XmlNode;
struct XmlNode {
    char *name;
    int line;               /* where it begins, from 1 */
    GHashTable *attrs;      /* name to value, both char * */
    GString *text;          /* all of it, without the space around */
    GPtrArray *children;    /* XmlNode *, in their order */
    XmlNode *parent;        /* NULL: the root */
};

/*
 * Reads @text, of @len bytes in UTF-8.
 *
 * Returns its root with all that is below; or NULL, and sets @error to the
 * reason and *@line to where: it is not well-formed, without an element, more
 * than 32 deep, or of more than 65,536 elements.
 */
XmlNode *xml_tree_read(const char *text, size_t len, int *line,
                       GError **error);

/* With all that is below it; NULL is none */
void xml_tree_free(XmlNode *n);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(XmlNode, xml_tree_free)

/* What @n, which may be NULL, has as @name; NULL: nothing */
const char *xml_attr(const XmlNode *n, const char *name);

/* The first child of @n, which may be NULL, that is called @name; NULL: none */
const XmlNode *xml_child(const XmlNode *n, const char *name);

#endif
