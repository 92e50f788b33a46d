/*
 * A Xen guest's configuration, whatever it was written in
 *
 * The front ends read one form each and fill in a Guest; the back ends print
 * one form each of it. Neither knows of the others, and nothing here starts a
 * process, opens a disk image or writes a file: so all of it has a unit test.
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
 * An error is one line, "FILE:LINE: reason". What is understood but has no
 * counterpart is no error: it is told by a note of the same form. Both are text
 * that a terminal can be shown (see xenpv-text.h), and so is all that is in a
 * Guest that was read from a file.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_XENPV_GUEST_H
#define TOOLS_XENPV_GUEST_H

#include "qapi/error.h"

/* The largest text that is read as a configuration: real ones have some KiB */
#define GUEST_TEXT_MAX  (256 * 1024)
/* The notes that are kept; then there is one that says so */
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
     * An absolute path, so that QEMU takes no part of it for a protocol; with
     * is_network what net-disk.h has; NULL: a drive without a medium
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
    unsigned vlan;          /* that of frames without a tag, or 0 */
    char *trunks;           /* those with one, "42,43", or NULL */
    int fd;                 /* of a tap that is open already, or -1 */
} GuestNic;

typedef struct GuestDisplay {
    bool present;
    int line;
    bool is_sdl;            /* else VNC, but for: */
    bool is_hidden;         /* the guest has it, and nobody is shown it */
    char *listen;           /* NULL: the loopback */
    int display;            /* VNC's, -1: any that is free */
    char *password;
    char *keymap;
} GuestDisplay;

typedef struct Guest {
    char *file;             /* as it is called in messages */
    bool typed;             /* it is no file, but this program's arguments */
    int memory_line, disk_line, kernel_line;

    char *name;
    char *uuid;
    char *kernel;           /* NULL: boot from disk */
    char *ramdisk;
    char *cmdline;
    unsigned boot_width;    /* 32, 64; 0: not known */
    uint64_t memory_mib;
    uint64_t max_memory_mib;    /* to which it may grow; at least memory_mib */
    unsigned vcpus;
    unsigned max_vcpus;         /* that it may have later; at least vcpus */
    GuestAction on_poweroff, on_reboot, on_crash;
    int on_poweroff_line, on_reboot_line, on_crash_line;
    GPtrArray *disks;
    GPtrArray *nics;
    GuestDisplay display;
    bool nographic;         /* xenner's */

    GPtrArray *notes;       /* char * */
} Guest;

Guest *guest_new(const char *file);
void guest_free(Guest *g);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Guest, guest_free)

GuestDisk *guest_add_disk(Guest *g, int line);
GuestNic *guest_add_nic(Guest *g, int line);

void G_GNUC_PRINTF(3, 4) guest_note(Guest *g, int line, const char *fmt, ...);
/* error_setg() with "FILE:LINE: " in front, and always one line */
void G_GNUC_PRINTF(4, 5) guest_error(Guest *g, int line, Error **errp,
                                     const char *fmt, ...);
/* The same before there is a Guest */
void G_GNUC_PRINTF(4, 5) guest_file_error(const char *file, int line,
                                          Error **errp, const char *fmt, ...);

/* Of any of these forms; @text has @len bytes and a 0 after them */
Guest *guest_parse(const char *file, const char *text, size_t len,
                   Error **errp);
Guest *guest_parse_file(const char *file, Error **errp);
Guest *guest_parse_xl(const char *file, const char *text, Error **errp);
Guest *guest_parse_xml(const char *file, const char *text, size_t len,
                       Error **errp);
/*
 * The same text in UTF-8, with *len its length, where it says that it is in
 * Latin-1; else NULL
 */
char *guest_xml_in_utf8(const char *text, size_t *len);
/* Which begins in line @line of the file */
Guest *guest_parse_listing(const char *file, const char *text, int line,
                           Error **errp);
/* @args without the command's own name; @lines may be NULL, see there */
Guest *guest_parse_xenner(const char *file, char **args, const int *lines,
                          Error **errp);
/* Of a file with such a command */
Guest *guest_parse_xenner_text(const char *file, const char *text,
                               Error **errp);

/* What the forms have in common. Each returns false with @errp set. */
bool guest_set_name(Guest *g, int line, const char *value, Error **errp);
bool guest_set_uuid(Guest *g, int line, const char *value, Error **errp);
bool guest_set_memory(Guest *g, int line, uint64_t kib, Error **errp);
/* To what it may grow; after guest_set_memory(), as @what says */
bool guest_set_max_memory(Guest *g, int line, const char *what, uint64_t mib,
                          Error **errp);
bool guest_set_vcpus(Guest *g, int line, uint64_t n, Error **errp);
/* How many it may have later, after that; @what says so */
bool guest_set_max_vcpus(Guest *g, int line, const char *what, uint64_t n,
                         Error **errp);
bool guest_set_action(Guest *g, int line, const char *event, const char *value,
                      Error **errp);
bool guest_set_mac(Guest *g, GuestNic *nic, const char *value, Error **errp);
bool guest_set_vdev(Guest *g, GuestDisk *disk, const char *value,
                    Error **errp);
/* A disk of QEMU's own network clients: "rbd:..." or "nbd:..." */
bool guest_set_net_disk(Guest *g, GuestDisk *disk, const char *value,
                        Error **errp);
bool guest_set_disk_format(Guest *g, GuestDisk *disk, const char *value,
                           Error **errp);
/*
 * Xen's words for the width: i686, x86_64, ... It counts where the guest boots
 * from its disk.
 */
bool guest_set_arch(Guest *g, int line, const char *value, Error **errp);
/* A kernel that is a PV GRUB means: boot from disk */
bool guest_set_kernel(Guest *g, int line, const char *value, Error **errp);
bool guest_set_bootloader(Guest *g, int line, const char *value, Error **errp);
/* Whether the kernel @value is a copy that a boot loader has made, and gone */
bool guest_is_boot_copy(const char *value);
/* Whether it can stand in a command that a note tells to be run */
bool guest_is_word(const char *text);
/* Whether @value is a vdev name at all */
bool guest_is_vdev(const char *value);
/* To be called last: what must be there, and what must not be there twice */
bool guest_check(Guest *g, Error **errp);

/*
 * The arguments, ending with NULL; the first is @emulator. Notes are added to
 * the guest's for what QEMU's command line cannot say.
 */
GPtrArray *guest_to_qemu(Guest *g, const char *emulator);
/* The same as a line for a shell */
char *guest_to_qemu_line(Guest *g, const char *emulator);
/* @virt_type: "kvm" or "qemu" */
char *guest_to_libvirt(Guest *g, const char *emulator, const char *virt_type);

#endif /* TOOLS_XENPV_GUEST_H */
