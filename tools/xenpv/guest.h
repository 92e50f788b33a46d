/*
 * A Xen guest's configuration, whatever form it was written in
 *
 * Each front end reads one form and fills in a Guest; each back end prints a
 * Guest in one form. They do not depend on each other, and none starts a
 * process, opens a disk image or writes a file: so a unit test can cover all of
 * them.
 *
 *   guest_parse_xl()       xl's and xm's configuration files  (parse-xl.c,
 *                                                              xl-language.c)
 *   guest_parse_xml()      libvirt's XML for its Xen driver   (parse-xml.c)
 *   guest_parse_listing()  what xm and xl print of a guest    (parse-listing.c)
 *   guest_parse_xenner()   a xenner command line              (parse-xenner.c)
 *   guest_parse()          any of these, by its looks         (guest-read.c)
 *
 *   guest_to_qemu()        a command line of QEMU's           (emit-qemu.c)
 *   guest_to_libvirt()     libvirt's XML for its QEMU driver  (emit-libvirt.c)
 *
 * An error is one line, "FILE:LINE: reason". A setting that is understood but
 * has no counterpart is no error: a note of the same form names it. Errors,
 * notes and all strings of a Guest that was read from a file are safe to print
 * on a terminal (see xenpv-text.h).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_GUEST_H
#define TOOLS_XENPV_GUEST_H

#include "qapi/error.h"

/* The largest text that is read as a configuration: real ones have some KiB */
#define GUEST_TEXT_MAX  (256 * 1024)
/* The notes that are kept; one more then says that there are others */
#define GUEST_MAX_NOTES 200

typedef enum GuestAction {
    GUEST_ACTION_DEFAULT,
    GUEST_ACTION_DESTROY,
    GUEST_ACTION_RESTART,
    GUEST_ACTION_PRESERVE,
    GUEST_ACTION_RENAME_RESTART,
    GUEST_ACTION_COREDUMP_DESTROY,
    GUEST_ACTION_COREDUMP_RESTART,
    GUEST_ACTION_SOFT_RESET,
    GUEST_ACTION__MAX,
} GuestAction;

extern const char *const guest_action_names[GUEST_ACTION__MAX];

typedef struct GuestDisk {
    int line;
    /*
     * An absolute path, so that QEMU takes no part of it for a protocol; if
     * is_network, a source as in net-disk.h; NULL: a drive without a medium
     */
    char *source;
    char *params;           /* the path as it was written, if it was relative */
    bool is_network;
    bool is_block;          /* a block device of the host's */
    const char *format;     /* QEMU's name: raw, qcow2, ... */
    char *vdev;
    bool readonly;
    bool is_cdrom;
    bool discard;
    bool shared;            /* others may write to it at the same time */
} GuestDisk;

typedef struct GuestNic {
    int line;
    char *mac;              /* NULL: any */
    char *bridge;           /* or */
    char *network;          /* libvirt's; neither: user networking */
    char *ifname;           /* the host's end, or NULL */
    bool ovs;               /* the bridge is one of Open vSwitch's, with: */
    unsigned vlan;          /* the VLAN of frames without a tag, or 0 */
    char *trunks;           /* the VLANs of tagged frames, "42,43", or NULL */
    int fd;                 /* a tap that is already open, or -1 */
} GuestNic;

typedef struct GuestDisplay {
    bool present;
    int line;
    bool is_sdl;            /* else VNC, unless: */
    bool is_hidden;         /* the guest has a display, but nobody sees it */
    char *listen;           /* NULL: the loopback address */
    int display;            /* VNC's number, -1: any that is free */
    char *password;
    char *keymap;
} GuestDisplay;

typedef struct Guest {
    char *file;             /* its name in messages */
    bool typed;             /* not from a file, but from the command line */
    int memory_line, disk_line, kernel_line;

    char *name;
    char *uuid;
    char *kernel;           /* NULL: boot from disk */
    char *ramdisk;
    char *cmdline;
    unsigned boot_width;    /* 32, 64; 0: not known */
    uint64_t memory_mib;
    uint64_t max_memory_mib;    /* may grow up to this; at least memory_mib */
    unsigned vcpus;
    unsigned max_vcpus;         /* may have these later; at least vcpus */
    GuestAction on_poweroff, on_reboot, on_crash;
    int on_poweroff_line, on_reboot_line, on_crash_line;
    GPtrArray *disks;
    GPtrArray *nics;
    GuestDisplay display;
    bool nographic;         /* xenner's -nographic */

    GPtrArray *notes;       /* char * */
} Guest;

Guest *guest_new(const char *file);
void guest_free(Guest *g);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Guest, guest_free)

GuestDisk *guest_add_disk(Guest *g, int line);
GuestNic *guest_add_nic(Guest *g, int line);

void G_GNUC_PRINTF(3, 4) guest_note(Guest *g, int line, const char *fmt, ...);
/* Like error_setg(), with "FILE:LINE: " in front, and always one line */
void G_GNUC_PRINTF(4, 5) guest_error(Guest *g, int line, Error **errp,
                                     const char *fmt, ...);
/* The same, for use before there is a Guest */
void G_GNUC_PRINTF(4, 5) guest_file_error(const char *file, int line,
                                          Error **errp, const char *fmt, ...);

/* Reads any of the forms; @text has @len bytes and a final 0 */
Guest *guest_parse(const char *file, const char *text, size_t len,
                   Error **errp);
Guest *guest_parse_file(const char *file, Error **errp);
Guest *guest_parse_xl(const char *file, const char *text, Error **errp);
Guest *guest_parse_xml(const char *file, const char *text, size_t len,
                       Error **errp);
/*
 * If @text declares itself as Latin-1, returns it in UTF-8 and sets *len to the
 * new length; else returns NULL
 */
char *guest_xml_in_utf8(const char *text, size_t *len);
/* @text begins in line @line of the file */
Guest *guest_parse_listing(const char *file, const char *text, int line,
                           Error **errp);
/* @args: without the command's name; @lines: the line of each, or NULL */
Guest *guest_parse_xenner(const char *file, char **args, const int *lines,
                          Error **errp);
/* Reads a file that contains such a command */
Guest *guest_parse_xenner_text(const char *file, const char *text,
                               Error **errp);

/* For the readers of all forms. Each returns false with @errp set on error. */
bool guest_set_name(Guest *g, int line, const char *value, Error **errp);
bool guest_set_uuid(Guest *g, int line, const char *value, Error **errp);
bool guest_set_memory(Guest *g, int line, uint64_t kib, Error **errp);
/* Call after guest_set_memory(). @what: the setting's name, for messages */
bool guest_set_max_memory(Guest *g, int line, const char *what, uint64_t mib,
                          Error **errp);
bool guest_set_vcpus(Guest *g, int line, uint64_t n, Error **errp);
/* Call after guest_set_vcpus(). @what: the setting's name, for messages */
bool guest_set_max_vcpus(Guest *g, int line, const char *what, uint64_t n,
                         Error **errp);
bool guest_set_action(Guest *g, int line, const char *event, const char *value,
                      Error **errp);
bool guest_set_mac(Guest *g, GuestNic *nic, const char *value, Error **errp);
bool guest_set_vdev(Guest *g, GuestDisk *disk, const char *value,
                    Error **errp);
/* A disk that QEMU reaches over the network itself: "rbd:..." or "nbd:..." */
bool guest_set_net_disk(Guest *g, GuestDisk *disk, const char *value,
                        Error **errp);
bool guest_set_disk_format(Guest *g, GuestDisk *disk, const char *value,
                           Error **errp);
/*
 * Xen's words for the width: i686, x86_64, ... The width matters only if the
 * guest boots from its disk.
 */
bool guest_set_arch(Guest *g, int line, const char *value, Error **errp);
/* If the kernel is a PV GRUB, the guest boots from its disk */
bool guest_set_kernel(Guest *g, int line, const char *value, Error **errp);
bool guest_set_bootloader(Guest *g, int line, const char *value, Error **errp);
/* Whether @value is a boot loader's copy of a kernel, which is gone by now */
bool guest_is_boot_copy(const char *value);
/* Whether a note can have @text in a command for the user to run */
bool guest_is_word(const char *text);
/* Whether @value is a vdev name at all */
bool guest_is_vdev(const char *value);
/* Call last: checks for what is missing and for what is there twice */
bool guest_check(Guest *g, Error **errp);

/*
 * Returns the arguments, ending with NULL; the first is @emulator. Adds a note
 * to the guest for each setting that QEMU's command line cannot express.
 */
GPtrArray *guest_to_qemu(Guest *g, const char *emulator);
/* The same as a line for a shell */
char *guest_to_qemu_line(Guest *g, const char *emulator);
/* @virt_type: "kvm" or "qemu" */
char *guest_to_libvirt(Guest *g, const char *emulator, const char *virt_type);

#endif /* TOOLS_XENPV_GUEST_H */
