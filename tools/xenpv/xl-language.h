/*
 * The language of xl's and xm's configuration files
 *
 * xm's were Python programs, most of them nothing but assignments; xl's look
 * the same. Both are read as data, never executed: values are numbers, strings
 * (put together by + or by standing side by side), None, True, False, lists and
 * tuples of these, variables that have been assigned before, and lists that
 * .append() and .extend() add to. All else in
 * Python is a value of type XL_UNKNOWN, which is an error where it would matter
 * and a note where not. What the settings mean is in parse-xl.c.
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
    XL_UNKNOWN,      /* an expression that is not read here */
} XlType;

typedef struct XlValue {
    XlType type;
    int line;
    int64_t number;
    char *string;       /* of XL_UNKNOWN and XL_NUMBER: what stands there */
    GPtrArray *list;
    unsigned depth;     /* of lists in each other */
    bool used;          /* it is a part of another value */
} XlValue;

/* What a file assigns, each name with its last value */
typedef struct XlSettings {
    Guest *g;               /* whose file it is, for messages */
    GHashTable *vars;       /* name -> XlValue */
    GPtrArray *order;       /* names, in the order of the file */
} XlSettings;

/*
 * Reads @text. @s is to be empty but for .g, and to be cleared by
 * xl_settings_clear() in any case.
 */
bool xl_read(XlSettings *s, const char *text, Error **errp);
/*
 * The same without a text: @s empty but for .g, then "@name = '@text'", and one
 * item more for the list @name
 */
void xl_settings_init(XlSettings *s);
void xl_settings_add(XlSettings *s, const char *name, int line,
                     const char *text);
void xl_settings_append(XlSettings *s, const char *name, int line,
                        const char *text);
void xl_settings_clear(XlSettings *s);

/* Is the setting @name of this type? False with @errp set if it is not */
bool xl_want(Guest *g, const char *name, const XlValue *v, XlType type,
             Error **errp);
/*
 * The string of the setting @name, or the number there as it is written, since
 * the two are the same to xl; NULL with @errp set if it is neither, or is of more
 * than one line
 */
const char *xl_want_string(Guest *g, const char *name, const XlValue *v,
                           Error **errp);

#endif
