/*
 * The language of xl's and xm's configuration files
 *
 * xm's files were Python programs, most of them nothing but assignments; xl's
 * look the same. Both are read as data, never executed: values are numbers,
 * strings (joined by +, or side by side), None, True, False, lists and tuples
 * of these, and variables that were assigned before. .append() and .extend()
 * add to lists. Any other Python expression is a value of type XL_UNKNOWN,
 * which is an error where the value matters, or else a note. parse-xl.c
 * interprets the settings.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_XL_LANGUAGE_H
#define TOOLS_XENPV_XL_LANGUAGE_H

#include "guest.h"

typedef enum XlType {
    XL_NONE,
    XL_NUMBER,
    XL_STRING,
    XL_LIST,
    XL_UNKNOWN,      /* an expression that we do not understand */
} XlType;

typedef struct XlValue {
    XlType type;
    int line;
    int64_t number;
    char *string;       /* XL_UNKNOWN and XL_NUMBER: the text in the file */
    GPtrArray *list;
    unsigned depth;     /* of nested lists */
    bool used;          /* another value uses this variable */
} XlValue;

/* A file's assignments, each name with its last value */
typedef struct XlSettings {
    Guest *g;               /* the file's guest, for messages */
    GHashTable *vars;       /* name -> XlValue */
    GPtrArray *order;       /* names, in the order of the file */
} XlSettings;

/*
 * Reads @text. The caller sets @s->g and leaves the rest of @s zero, and calls
 * xl_settings_clear() afterwards, even on error.
 */
bool xl_read(XlSettings *s, const char *text, Error **errp);
/*
 * The same without a file: xl_settings_init() for an @s with only .g set, then
 * xl_settings_add() for NAME = 'TEXT', xl_settings_append() for a list's item
 */
void xl_settings_init(XlSettings *s);
void xl_settings_add(XlSettings *s, const char *name, int line,
                     const char *text);
void xl_settings_append(XlSettings *s, const char *name, int line,
                        const char *text);
void xl_settings_clear(XlSettings *s);

/* Returns false with @errp set if the setting @name is not of this type */
bool xl_want(Guest *g, const char *name, const XlValue *v, XlType type,
             Error **errp);
/*
 * Returns the string of the setting @name, or its number as written, as xl does
 * not distinguish these. Returns NULL with @errp set if it is neither, or has
 * more than one line.
 */
const char *xl_want_string(Guest *g, const char *name, const XlValue *v,
                           Error **errp);

#endif
