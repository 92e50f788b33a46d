/*
 * A guest's boot menu, as PV GRUB understands it
 *
 * rules.c calls this, in the child without rights. A menu is untrusted: the
 * numbers below and in menu-reader.h bound the entries, and what is kept of
 * them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "menu-reader.h"

/* Variables that a menu sets, and the longest word that they may expand to */
#define MAX_VARIABLES   64
#define MAX_NAME        4096
/* A menu entry's arguments, "$1" and so on; any further ones are ignored */
#define MAX_ARGUMENTS   9

static void entry_free(gpointer p)
{
    MenuEntry *e = p;

    g_free(e->label);
    g_free(e->title);
    g_free(e->id);
    g_free(e->file);
    g_free(e->kernel);
    g_free(e->chain);
    g_ptr_array_unref(e->args);
    g_ptr_array_unref(e->initrds);
    g_free(e);
}

void menu_free(Menu *m)
{
    if (m) {
        g_free(m->file);
        g_ptr_array_unref(m->entries);
        g_free(m);
    }
}

MenuEntry *menu_add_entry(MenuReader *r, const char *file, int line, char *label)
{
    MenuEntry *e;

    if (r->m->entries->len >= MENU_MAX_ENTRIES) {
        g_free(label);
        return NULL;
    }
    e = g_new0(MenuEntry, 1);
    e->label = label;
    e->title = g_strdup("");
    e->file = g_strdup(file);
    e->line = line;
    e->args = g_ptr_array_new_with_free_func(g_free);
    e->initrds = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(r->m->entries, e);
    return e;
}

/* Returns @word without any quotes */
static char *bare(const char *word)
{
    g_autofree char *copy = g_strdup(word);
    char *out = copy;

    for (const char *p = copy; *p; p++) {
        if (*p != '"' && *p != '\'') {
            *out++ = *p;
        }
    }
    *out = 0;
    return g_steal_pointer(&copy);
}

/* Replaces the variables in @word by their values, leaving unknown names */
static char *expand(const MenuReader *r, const char *word)
{
    g_autoptr(GString) out = g_string_new(NULL);

    while (*word && out->len < MAX_NAME) {
        bool brace = word[0] == '$' && word[1] == '{';
        const char *name = word + 1 + brace, *value = NULL;
        size_t len = 0;

        while (g_ascii_isalnum(name[len]) || name[len] == '_') {
            len++;
        }
        if (word[0] == '$' && len && (!brace || name[len] == '}')) {
            g_autofree char *copy = g_strndup(name, len);

            value = g_hash_table_lookup(r->variables, copy);
        }
        if (value) {
            g_string_append_len(out, value, MIN(strlen(value),
                                                MAX_NAME - out->len));
            word = name + len + brace;
        } else {
            g_string_append_c(out, *word++);
        }
    }
    return g_string_free(g_steal_pointer(&out), false);
}

/* Removes "(hd0,0)" or "($root)" in front of a file's name */
static char *file_name(const MenuReader *r, const char *word)
{
    g_autofree char *plain = bare(word);
    g_autofree char *path = expand(r, plain);
    const char *close = path[0] == '(' ? strchr(path, ')') : NULL;

    return g_strdup(close ? close + 1 : path);
}

/* Base names like xen, xen.gz, xen.gz-2.6.18-8.el5, xen-4.4-amd64.gz */
static bool is_xen(const char *path)
{
    g_autofree char *base = g_path_get_basename(path);

    return !strcmp(base, "xen") || g_str_has_prefix(base, "xen.") ||
           (g_str_has_prefix(base, "xen-") &&
            (strstr(base, ".gz") || g_ascii_isdigit(base[4])));
}

void menu_keep(MenuReader *r, GPtrArray *words, char *word)
{
    size_t size = strlen(word) + 1;

    if (size > MENU_MAX_KEPT - r->kept) {
        r->kept = MENU_MAX_KEPT;
        g_free(word);
    } else {
        r->kept += size;
        g_ptr_array_add(words, word);
    }
}

void menu_set_kernel(MenuReader *r, MenuEntry *e, int line, char **words,
                       unsigned n)
{
    /* GRUB legacy's "kernel" command takes options */
    while (n > 1 && g_str_has_prefix(words[0], "--")) {
        words++;
        n--;
    }
    if (e->kernel) {
        return;
    }
    e->kernel = file_name(r, words[0]);
    e->line = line;
    e->is_xen = is_xen(e->kernel);
    for (unsigned i = 1; i < n && r->kept < MENU_MAX_KEPT; i++) {
        menu_keep(r, e->args, bare(words[i]));
    }
}

/* Each word is a file; variables like "$tuned_initrd" are mostly empty */
void menu_add_initrds(MenuReader *r, MenuEntry *e, char **words, unsigned n)
{
    for (unsigned i = 0; i < n && r->kept < MENU_MAX_KEPT; i++) {
        g_autofree char *path = file_name(r, words[i]);

        if (path[0] && path[0] != '$' && !g_str_has_prefix(path, "newc:")) {
            menu_keep(r, e->initrds, g_steal_pointer(&path));
        }
    }
}

bool menu_one_of(const char *word, const char *const *list)
{
    for (; *list; list++) {
        if (!strcmp(word, *list)) {
            return true;
        }
    }
    return false;
}

static bool is_kernel_word(const char *word)
{
    static const char *const words[] = {
        "linux", "linux16", "linuxefi", "kernel", "multiboot", "multiboot2",
        "xen_hypervisor", NULL,
    };

    return menu_one_of(word, words);
}

static bool is_initrd_word(const char *word)
{
    static const char *const words[] = {
        "initrd", "initrd16", "initrdefi", NULL,
    };

    return menu_one_of(word, words);
}

void menu_set_title(MenuEntry *e, char **words, unsigned n, bool is_grub2)
{
    g_autoptr(GString) text = g_string_new(NULL);
    char quote, *end;

    for (unsigned i = 0; i < n; i++) {
        g_string_append_printf(text, "%s%s", i ? " " : "", words[i]);
        if (i && (!strcmp(words[i - 1], "--id") ||
                  !strcmp(words[i - 1], "$menuentry_id_option"))) {
            g_free(e->id);
            e->id = bare(words[i]);
        }
    }
    quote = text->str[0];
    if (is_grub2 && (quote == '\'' || quote == '"')) {
        end = strchr(text->str + 1, quote);
        g_free(e->title);
        e->title = g_strndup(text->str + 1, end ? end - text->str - 1
                                                : text->len - 1);
    } else {
        g_free(e->title);
        e->title = g_strdup(is_grub2 && n ? words[0] : text->str);
    }
}

/* The words of one command: behind them may be others of the same line */
static char *join_words(char **words, unsigned n)
{
    char *next = words[n], *text;

    words[n] = NULL;
    text = g_strjoinv(" ", words);
    words[n] = next;
    return text;
}

/*
 * Returns the value that a line like default=1, default 1 or set default="1"
 * gives to @name. NULL: it sets no such value, or one for the next boot only.
 */
static char *value_of(const char *name, char **words, unsigned n)
{
    g_autofree char *text = NULL;
    size_t len = strlen(name);

    if (!strcmp(words[0], "set") && n >= 2) {
        words++;
        n--;
    }
    if (!strcmp(words[0], name) && n >= 2) {
        text = join_words(words + 1, n - 1);
    } else if (g_str_has_prefix(words[0], name) && words[0][len] == '=') {
        text = join_words(words, n);
        memmove(text, text + len + 1, strlen(text + len + 1) + 1);
    }
    return text && !strstr(text, "next_entry") ? bare(text) : NULL;
}

static void read_variables(MenuReader *r, char **words, unsigned n)
{
    char *value = value_of("default", words, n);

    if (value) {
        g_free(r->wanted);
        r->wanted = value;
        if (!r->is_grub2) {
            value[strcspn(value, " ")] = 0;
        }
    }
    value = value_of("fallback", words, n);
    if (value) {
        g_free(r->fallback);
        r->fallback = value;
    }
    if (r->is_grub2 && !r->at && n >= 2 && !strcmp(words[0], "set") &&
        strchr(words[1], '=') &&
        g_hash_table_size(r->variables) < MAX_VARIABLES) {
        g_autofree char *text = bare(words[1]);
        char *equals = strchr(text, '=');

        *equals++ = 0;
        value = expand(r, equals);
        g_hash_table_replace(r->variables, g_strdup(text), value);
    }
}

/* Returns the quote that is open after @word if @quote is open before it */
static char quote_after(char quote, const char *word)
{
    for (; *word; word++) {
        if (quote) {
            quote = *word == quote ? 0 : quote;
        } else if (*word == '\'' || *word == '"') {
            quote = *word;
        }
    }
    return quote;
}

/*
 * GRUB 2's "menuentry TITLE ARGUMENT ... {" sets $1, $2 and so on for the
 * entry. Options may be anywhere in it, and most have a value.
 */
static void set_arguments(MenuReader *r, char **words, unsigned n)
{
    unsigned next = 1;
    bool is_value = false;

    for (unsigned i = 1; i <= MAX_ARGUMENTS; i++) {
        g_autofree char *name = g_strdup_printf("%u", i);

        g_hash_table_remove(r->variables, name);
    }
    for (unsigned i = 0; i < n && next <= MAX_ARGUMENTS; i++) {
        g_autoptr(GString) text = g_string_new(words[i]);
        char quote = quote_after(0, words[i]);

        while (quote && i + 1 < n) {
            g_string_append_printf(text, " %s", words[++i]);
            quote = quote_after(quote, words[i]);
        }
        if (!strcmp(text->str, "{")) {
            return;
        }
        if (!is_value && (g_str_has_prefix(text->str, "--") ||
                          !strcmp(text->str, "$menuentry_id_option"))) {
            is_value = strcmp(text->str, "--unrestricted") &&
                       !strchr(text->str, '=');
        } else if (is_value) {
            is_value = false;
        } else {
            g_autofree char *plain = bare(text->str);

            g_hash_table_replace(r->variables, g_strdup_printf("%u", next++),
                                 expand(r, plain));
        }
    }
}

void menu_set_chain(MenuReader *r, const char *word)
{
    char **chain = r->at ? &r->at->chain : &r->chain;
    g_autofree char *path = file_name(r, word);

    /* Other variables have no known value */
    if (!*chain && !strchr(path, '$')) {
        *chain = g_steal_pointer(&path);
    }
}

/* menu_commands() makes each brace a command's last word, or all of it */
static void count_braces(MenuReader *r, const char *word)
{
    if (g_str_has_suffix(word, "{")) {
        r->depth++;
    } else if (!strcmp(word, "}") && r->depth) {
        r->depth--;
        if (r->depth < r->submenu) {
            r->submenu = 0;
        }
        if (r->depth <= r->submenu) {
            r->at = NULL;
        }
    }
}

static bool menu_line(GuestFiles *f, const char *path, int line, char **words,
                      unsigned n, void *opaque);
static void join_lines(char *text);

/* Reads a file that GRUB 2's "source" includes */
static void source_file(MenuReader *r, const char *word)
{
    g_autofree char *path = file_name(r, word);
    g_autofree char *with_boot = g_strconcat("/boot", path, NULL);
    g_autofree char *text = NULL;

    /* A name with an unknown variable is mostly a file of the boot loader */
    if (strchr(path, '$') || r->included >= MENU_MAX_CHAIN) {
        return;
    }
    text = guest_files_read_text(r->f, path);
    if (!text) {
        text = guest_files_read_text(r->f, with_boot);
    }
    if (text) {
        r->included++;
        join_lines(text);
        guest_files_each_line(r->f, path, text, menu_line, r);
    }
}

static bool menu_words(MenuReader *r, const char *path, int line, char **words,
                       unsigned n)
{
    bool is_grub2 = r->is_grub2;
    bool entry = !strcmp(words[0], is_grub2 ? "menuentry" : "title");
    bool submenu = is_grub2 && !strcmp(words[0], "submenu");

    if (entry || submenu) {
        char *label = r->submenu ?
            g_strdup_printf("%u>%u", r->next - 1, r->next_inner) :
            g_strdup_printf("%u", r->next);

        r->at = NULL;
        if (r->submenu) {
            r->next_inner++;
        } else {
            r->next++;
        }
        if (entry) {
            r->at = menu_add_entry(r, path, line, label);
            if (r->at) {
                menu_set_title(r->at, words + 1, n - 1, is_grub2);
            }
            if (is_grub2) {
                set_arguments(r, words + 1, n - 1);
            }
        } else {
            g_free(label);
            r->next_inner = 0;
        }
    } else if (is_kernel_word(words[0]) && n >= 2) {
        /* Commands outside of all entries boot without a menu */
        if (!r->at && !r->m->entries->len) {
            r->at = menu_add_entry(r, path, line, g_strdup("0"));
        }
        if (r->at) {
            menu_set_kernel(r, r->at, line, words + 1, n - 1);
        }
    } else if (is_initrd_word(words[0]) && r->at) {
        menu_add_initrds(r, r->at, words + 1, n - 1);
    } else if (!strcmp(words[0], "blscfg")) {
        r->blscfg = true;
    } else if ((!strcmp(words[0], "configfile") ||
                !strcmp(words[0], "legacy_configfile")) && n >= 2) {
        menu_set_chain(r, words[1]);
    } else if (is_grub2 && n >= 2 && (!strcmp(words[0], "source") ||
                                      !strcmp(words[0], "."))) {
        source_file(r, words[1]);
    } else {
        read_variables(r, words, n);
    }
    if (is_grub2) {
        count_braces(r, words[n - 1]);
        if (submenu && !r->submenu) {
            r->submenu = r->depth;
        }
    }
    return true;
}

/* Keywords that a GRUB 2 command may follow on the same line */
static bool is_glue(const char *word)
{
    static const char *const words[] = { "then", "else", "do", NULL };

    return menu_one_of(word, words);
}

static void menu_command(MenuReader *r, const char *path, int line,
                         char **words, unsigned n)
{
    while (n && is_glue(words[0])) {
        words++;
        n--;
    }
    if (n) {
        menu_words(r, path, line, words, n);
    }
}

/*
 * A line of GRUB 2 may have several commands: "menuentry 'A' { linux /k; }".
 * Each ends at a semicolon or brace outside of quotes.
 */
static void menu_commands(MenuReader *r, const char *path, int line,
                          char **words, unsigned n)
{
    unsigned first = 0;
    char quote = 0;

    for (unsigned i = 0; i < n; i++) {
        bool ends = false, quoted = quote;
        char *w = words[i];
        size_t len = strlen(w);

        quote = quote_after(quote, w);
        while (!quote && len && w[len - 1] == ';') {
            w[--len] = 0;
            ends = true;
        }
        if (!quoted && !strcmp(w, "}") && first < i) {
            menu_command(r, path, line, words + first, i - first);
            first = i;
        }
        if (ends || (!quoted && (!strcmp(w, "{") || !strcmp(w, "}")))) {
            menu_command(r, path, line, words + first, i + (len > 0) - first);
            first = i + 1;
        }
    }
    menu_command(r, path, line, words + first, n - first);
}

static bool menu_line(GuestFiles *f, const char *path, int line, char **words,
                      unsigned n, void *opaque)
{
    MenuReader *r = opaque;
    char *equals = r->is_grub2 ? NULL : strchr(words[0], '=');
    g_autofree char **more = NULL;

    /* GRUB legacy takes a '=' for a blank: title=Linux, title = Linux */
    if (!r->is_grub2 && n >= 2 && !strcmp(words[1], "=")) {
        words[1] = words[0];
        words++;
        n--;
    }
    if (r->is_grub2) {
        menu_commands(r, path, line, words, n);
        return true;
    }
    if (!equals) {
        return menu_words(r, path, line, words, n);
    }
    *equals++ = 0;
    more = g_new0(char *, n + 2);
    more[0] = words[0];
    memcpy(more + 1 + (*equals != 0), words + 1, (n - 1) * sizeof(*words));
    if (*equals) {
        more[1] = equals;
    }
    return menu_words(r, path, line, more, n + (*equals != 0));
}

/* --- Fedora's and RHEL 8's entries --------------------------------------- */

static bool bls_line(GuestFiles *f, const char *path, int line, char **words,
                     unsigned n, void *opaque)
{
    MenuReader *r = opaque;
    MenuEntry *e = r->at;

    if (!strcmp(words[0], "title")) {
        menu_set_title(e, words + 1, n - 1, false);
    } else if (!strcmp(words[0], "linux") && n >= 2) {
        menu_set_kernel(r, e, line, words + 1, n - 1);
    } else if (!strcmp(words[0], "initrd")) {
        menu_add_initrds(r, e, words + 1, n - 1);
    } else if (!strcmp(words[0], "options")) {
        for (unsigned i = 1; i < n && r->kept < MENU_MAX_KEPT; i++) {
            if (!strcmp(words[i], "$kernelopts") && r->kernelopts) {
                g_auto(GStrv) more = g_strsplit(r->kernelopts, " ", 0);

                for (char **w = more; *w && r->kept < MENU_MAX_KEPT; w++) {
                    menu_keep(r, e->args, g_strdup(*w));
                }
            } else {
                menu_keep(r, e->args, bare(words[i]));
            }
        }
    }
    return true;
}

/* Finds the next run of letters and the number after it; skips separators */
static const char *segment(const char *p, const char **letters,
                           size_t *nr_letters, const char **digits,
                           size_t *nr_digits)
{
    while (*p && !g_ascii_isalnum(*p)) {
        p++;
    }
    *letters = p;
    while (g_ascii_isalpha(*p)) {
        p++;
    }
    *nr_letters = p - *letters;
    while (*p == '0' && g_ascii_isdigit(p[1])) {
        p++;
    }
    *digits = p;
    while (g_ascii_isdigit(*p)) {
        p++;
    }
    *nr_digits = p - *digits;
    return p;
}

/* RPM's order, the latest version first, as in hw/xenpv/xenpv-grub-menu.c */
static int compare_versions(gconstpointer pa, gconstpointer pb)
{
    const char *a = *(const char *const *)pa, *b = *(const char *const *)pb;

    while (strcmp(a, b)) {
        const char *la, *lb, *da, *db;
        size_t nla, nlb, nda, ndb;
        int order;

        a = segment(a, &la, &nla, &da, &nda);
        b = segment(b, &lb, &nlb, &db, &ndb);
        if (!nla != !nlb) {
            /* A number is newer than letters, and letters newer than nothing */
            return !nla ? (nda ? -1 : 1) : (ndb ? 1 : -1);
        }
        order = memcmp(la, lb, MIN(nla, nlb));
        order = order ?: (int)(nla > nlb) - (nla < nlb);
        order = order ?: (int)(nda > ndb) - (nda < ndb);
        order = order ?: memcmp(da, db, nda);
        if (order) {
            return order > 0 ? -1 : 1;
        }
        if (!*a && !*b) {
            break;
        }
    }
    return 0;
}

static void bls_name(void *opaque, const char *name)
{
    GPtrArray *names = opaque;

    if (g_str_has_suffix(name, ".conf") && names->len < MENU_MAX_ENTRIES) {
        g_ptr_array_add(names, g_strndup(name, strlen(name) - 5));
    }
}

static void read_bls(MenuReader *r)
{
    static const char dir[] = "/boot/loader/entries";
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

    r->f->list(r->f, dir, bls_name, names);
    g_ptr_array_sort(names, compare_versions);
    for (unsigned i = 0; i < names->len; i++) {
        g_autofree char *path = g_strdup_printf("%s/%s.conf", dir,
                                                (char *)names->pdata[i]);
        g_autofree char *text = guest_files_read_text(r->f, path);

        r->at = NULL;
        if (text) {
            r->at = menu_add_entry(r, path, 1, g_strdup_printf("%u", r->next));
        }
        if (r->at) {
            r->at->id = g_strdup(names->pdata[i]);
            guest_files_each_line(r->f, path, text, bls_line, r);
            r->next++;
        }
    }
}

/* --- What boots ---------------------------------------------------------- */

static bool grubenv_line(GuestFiles *f, const char *path, int line,
                         char **words, unsigned n, void *opaque)
{
    MenuReader *r = opaque;
    g_autofree char *text = g_strjoinv(" ", words);

    if (g_str_has_prefix(text, "saved_entry=")) {
        g_free(r->saved);
        r->saved = g_strdup(text + strlen("saved_entry="));
    } else if (g_str_has_prefix(text, "kernelopts=")) {
        g_free(r->kernelopts);
        r->kernelopts = g_strdup(text + strlen("kernelopts="));
    }
    return true;
}

/* Finds an entry by its number, its title or its id */
static MenuEntry *entry_named(const Menu *m, const char *name)
{
    const char *last = strrchr(name, '>');

    last = last ? last + 1 : name;
    for (unsigned i = 0; i < m->entries->len; i++) {
        MenuEntry *e = m->entries->pdata[i];

        if (!strcmp(name, e->label) || !strcmp(last, e->title) ||
            (e->id && !strcmp(last, e->id))) {
            return e;
        }
    }
    return NULL;
}

static void choose(MenuReader *r)
{
    const char *wanted = r->wanted ?: "0";
    Menu *m = r->m;

    if (!strcmp(wanted, "saved") || strstr(wanted, "saved_entry")) {
        wanted = r->saved ?: "0";
    }
    m->chosen = entry_named(m, wanted);
    if (!m->chosen && m->entries->len) {
        m->chosen = m->entries->pdata[0];
    }
    m->is_first = m->chosen && m->chosen == m->entries->pdata[0];
}

static bool is_there(GuestFiles *f, const char *path)
{
    g_autofree char *with_boot = g_strconcat("/boot", path, NULL);
    const char *const paths[] = { path, with_boot };
    size_t len;

    for (int i = 0; i < ARRAY_SIZE(paths); i++) {
        g_autofree char *data = f->read(f, paths[i], 0, &len);

        if (data || len) {
            return true;
        }
    }
    return false;
}

/* If the default cannot boot, chooses the first fallback that can, if any */
static void fall_back(MenuReader *r)
{
    Menu *m = r->m;
    const MenuEntry *first = m->chosen;
    g_auto(GStrv) words = g_strsplit(r->fallback ?: "", " ", 16);
    g_autofree char *why = NULL;

    if (!first || (first->kernel && (strchr(first->kernel, '$') ||
                                     is_there(r->f, first->kernel)))) {
        return;
    }
    why = first->kernel ? g_strdup_printf("its kernel, %s, is not there",
                                          first->kernel)
                        : g_strdup("it has no kernel");
    for (char **w = words; *w; w++) {
        MenuEntry *e = entry_named(m, *w);

        if (e && e != first && e->kernel && is_there(r->f, e->kernel)) {
            g_autofree char *text = g_strdup_printf(
                "%s: line %d: the default entry, '%s', would not boot: %s; the "
                "fallback, '%s', does",
                first->file, first->line, first->title, why, e->title);

            r->f->fact(r->f, text);
            m->chosen = e;
            m->is_first = false;
            return;
        }
    }
    /* If the entry leads to a missing menu, follow_chain() has reported it */
    if (!first->kernel && !first->chain && !r->is_syslinux) {
        g_autofree char *text = g_strdup_printf("the default entry, '%s', has no "
                                                "kernel: PV GRUB stops at its menu",
                                                first->title);

        r->f->finding(r->f, first->file, first->line, text);
    }
}

/*
 * Joins lines of GRUB 2 that end with a backslash. Adds as many empty lines
 * after them, so that the lines that follow keep their numbers.
 */
static void join_lines(char *text)
{
    char *out = text;
    unsigned joined = 0;

    for (const char *p = text; *p; p++) {
        if (p[0] == '\\' && p[1] == '\n') {
            p++;
            *out++ = ' ';
            joined++;
            continue;
        }
        *out++ = *p;
        for (; *p == '\n' && joined; joined--) {
            *out++ = '\n';
        }
    }
    *out = 0;
}

/* Returns false, and changes nothing, if there is no such file */
static bool read_menu(MenuReader *r, const char *path)
{
    g_autofree char *text = guest_files_read_text(r->f, path);
    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *env_file = g_strdup_printf("%s/grubenv", dir);
    g_autofree char *env = NULL;

    if (!text) {
        return false;
    }
    if (!r->m) {
        env = guest_files_read_text(r->f, env_file);
    }
    menu_free(r->m);
    r->m = g_new0(Menu, 1);
    r->m->file = g_strdup(path);
    r->m->entries = g_ptr_array_new_with_free_func(entry_free);
    r->at = NULL;
    r->depth = r->submenu = r->next = r->next_inner = 0;
    r->blscfg = r->in_help = r->waits = false;
    g_clear_pointer(&r->wanted, g_free);
    g_clear_pointer(&r->fallback, g_free);
    g_clear_pointer(&r->chain, g_free);
    if (env) {
        guest_files_each_line(r->f, env_file, env, grubenv_line, r);
    }
    if (r->is_grub2) {
        join_lines(text);
    }
    guest_files_each_line(r->f, path, text,
                          r->is_syslinux ? menu_extlinux_line : menu_line, r);
    if (r->blscfg) {
        read_bls(r);
    }
    choose(r);
    if (r->is_syslinux) {
        menu_extlinux_choose(r);
    }
    return true;
}

/* Goes on to the menu that this one leads to; false if there is none */
static bool follow_chain(MenuReader *r)
{
    const MenuEntry *e = r->m->chosen;
    g_autofree char *path = g_strdup(r->chain ?: e && !e->kernel ? e->chain
                                                                 : NULL);
    g_autofree char *with_boot = g_strconcat("/boot", path, NULL);
    g_autofree char *text = NULL, *from = g_strdup(r->m->file);

    if (!path) {
        return false;
    }
    if (read_menu(r, path) || read_menu(r, with_boot)) {
        text = g_strdup_printf("%s leads to %s", from, r->m->file);
        r->f->fact(r->f, text);
        return true;
    }
    text = g_strdup_printf("it leads to another menu, %s, which is not there",
                           path);
    if (!r->chain) {
        r->f->finding(r->f, from, 0, text);
    }
    return false;
}

Menu *menu_read(GuestFiles *f)
{
    static const char *const menus[] = {
        "/boot/grub/grub.cfg", "/boot/grub2/grub.cfg",
        "/boot/isolinux/isolinux.cfg", "/boot/extlinux/extlinux.conf",
        "/boot/extlinux.conf", "/extlinux/extlinux.conf", "/extlinux.conf",
        "/boot/grub/menu.lst", "/boot/grub/grub.conf",
    };
    MenuReader r = { .f = f };

    r.variables = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (int i = 0; i < ARRAY_SIZE(menus) && !r.m; i++) {
        /* Menus that it leads to are of the same kind */
        r.is_syslinux = strstr(menus[i], "linux");
        r.is_grub2 = !r.is_syslinux && g_str_has_suffix(menus[i], ".cfg");
        read_menu(&r, menus[i]);
        if (r.refused) {
            f->finding(f, menus[i], r.refused_line, r.refused);
            g_clear_pointer(&r.refused, g_free);
            menu_free(r.m);
            r.m = NULL;
        }
    }
    if (r.m) {
        unsigned followed = 0;
        Menu *m;

        while (followed < MENU_MAX_CHAIN && follow_chain(&r)) {
            followed++;
        }
        m = r.m;
        if (r.refused) {
            f->finding(f, m->file, r.refused_line, r.refused);
        }
        fall_back(&r);
        /* The other checks need a kernel: take the first one of the menu */
        for (unsigned i = 0; m->chosen && !m->chosen->kernel; i++) {
            m->chosen = i < m->entries->len ? m->entries->pdata[i] : NULL;
        }
    }
    g_hash_table_unref(r.variables);
    g_free(r.wanted);
    g_free(r.fallback);
    g_free(r.chain);
    g_free(r.saved);
    g_free(r.kernelopts);
    g_free(r.refused);
    return r.m;
}
