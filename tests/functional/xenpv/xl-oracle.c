/*
 * What xl itself reads in configurations: for each FILE a line "file", then
 * "refused", or a line for each of the settings below that it has, with texts
 * in hexadecimal digits that a dot ends
 *
 *   string NAME TEXT
 *   number NAME NUMBER
 *   disk TARGET VDEV FORMAT READWRITE CDROM, or disk refused
 *   vif TEXT
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libxl.h>
#include <libxl_utils.h>
#include <libxlutil.h>

static void put(const char *text)
{
    putchar(' ');
    for (; text && *text; text++) {
        printf("%02x", (unsigned char)*text);
    }
    putchar('.');
}

static void disks(XLU_Config *config, XLU_ConfigList *list)
{
    const char *text;

    for (int i = 0; (text = xlu_cfg_get_listitem(list, i)); i++) {
        libxl_device_disk disk;

        libxl_device_disk_init(&disk);
        printf("disk");
        if (xlu_disk_parse(config, 1, &text, &disk)) {
            printf(" refused");
        } else {
            put(disk.pdev_path);
            put(disk.vdev);
            put(libxl_disk_format_to_string(disk.format));
            printf(" %d %d", disk.readwrite, disk.is_cdrom);
        }
        printf("\n");
        libxl_device_disk_dispose(&disk);
    }
}

static void read_config(const char *path, FILE *report)
{
    static const char *const names[] = {
        "name", "kernel", "ramdisk", "root", "extra", "cmdline",
    };
    static const char *const numbers[] = { "memory", "vcpus" };
    XLU_Config *config = xlu_cfg_init(report, path);
    XLU_ConfigList *list;
    const char *text;

    if (xlu_cfg_readfile(config, path)) {
        printf("refused\n");
        return;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!xlu_cfg_get_string(config, names[i], &text, 1)) {
            printf("string %s", names[i]);
            put(text);
            printf("\n");
        }
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        long n;

        if (!xlu_cfg_get_long(config, numbers[i], &n, 1)) {
            printf("number %s %ld\n", numbers[i], n);
        }
    }
    if (!xlu_cfg_get_list(config, "disk", &list, NULL, 1)) {
        disks(config, list);
    }
    if (!xlu_cfg_get_list(config, "vif", &list, NULL, 1)) {
        for (int i = 0; (text = xlu_cfg_get_listitem(list, i)); i++) {
            printf("vif");
            put(text);
            printf("\n");
        }
    }
    xlu_cfg_destroy(config);
}

int main(int argc, char **argv)
{
    FILE *report = fopen("/dev/null", "w");

    for (int i = 1; i < argc; i++) {
        printf("file\n");
        read_config(argv[i], report);
    }
    return 0;
}
