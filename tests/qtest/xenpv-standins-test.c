/*
 * QTest: devices of the xenpv-kvm machine by libvirt's names for them
 *
 * If it fails, a domain of libvirt's has other disks than its XML says, no
 * console, or a device that crashes QEMU on a bus that is none.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"

#define MACHINE "-M xenpv-kvm -m 32 -nodefaults "

static char *get_string(QTestState *qts, const char *path, const char *name)
{
    QDict *answer = qtest_qmp(qts, "{ 'execute': 'qom-get', 'arguments': {"
                              " 'path': %s, 'property': %s } }", path, name);
    char *value = g_strdup(qdict_get_try_str(answer, "return"));

    qobject_unref(answer);
    return value;
}

static void assert_string(QTestState *qts, const char *path, const char *name,
                          const char *expected)
{
    g_autofree char *value = get_string(qts, path, name);

    g_assert_cmpstr(value, ==, expected);
}

/* The names, as libvirt gives them: JSON, with properties of virtio's */
static void test_disks(void)
{
    QTestState *qts = qtest_init(MACHINE
        "-blockdev null-co,node-name=a,size=1048576 "
        "-blockdev null-co,node-name=b,size=1048576 "
        "-blockdev null-co,node-name=c,size=1048576,read-only=on "
        "-device '{\"driver\":\"virtio-blk-device\",\"drive\":\"a\","
        "\"id\":\"virtio-disk2\",\"bootindex\":1,\"write-cache\":\"on\"}' "
        "-device '{\"driver\":\"virtio-blk-device\",\"drive\":\"b\","
        "\"id\":\"ua-sda1\",\"queue-size\":128}' "
        "-device virtio-blk-device,drive=c,id=ua-system,serial=x");

    assert_string(qts, "/machine/peripheral/virtio-disk2", "type", "xen-disk");
    /* The 0 is the number of no partition */
    assert_string(qts, "/machine/peripheral/virtio-disk2", "vdev", "xvdc0");
    assert_string(qts, "/machine/peripheral/virtio-disk2", "drive", "a");
    assert_string(qts, "/machine/peripheral/ua-sda1", "vdev", "sda1");
    /* Not a name of Xen's: the first that is free */
    assert_string(qts, "/machine/peripheral/ua-system", "vdev", "xvda0");
    /* What of a serial number a Xen disk can tell the guest */
    assert_string(qts, "/machine/peripheral/ua-system", "params", "x");
    qtest_quit(qts);
}

static void test_network(void)
{
    QTestState *qts = qtest_init(MACHINE
        "-netdev hubport,hubid=0,id=n "
        "-device virtio-net-device,netdev=n,id=net0,mac=00:16:3e:00:00:07,"
        "mrg_rxbuf=off");

    assert_string(qts, "/machine/peripheral/net0", "type", "xen-net-device");
    assert_string(qts, "/machine/peripheral/net0", "mac", "00:16:3e:00:00:07");
    qtest_quit(qts);
}

/*
 * As libvirt asks where it is not told of a virtio-mmio address: at a place on
 * pci.0, by each of the names that virtio has there, with properties of those
 */
static void test_pci(void)
{
    static const char *const names[] = {
        "virtio-blk-pci", "virtio-blk-pci-transitional",
        "virtio-blk-pci-non-transitional", "virtio-blk",
    };
    QTestState *qts;
    QDict *answer;

    for (int i = 0; i < ARRAY_SIZE(names); i++) {
        qts = qtest_initf(MACHINE
            "-blockdev null-co,node-name=a,size=1048576 "
            "-device '{\"driver\":\"%s\",\"drive\":\"a\","
            "\"bus\":\"pci.0\",\"addr\":\"0x3\",\"id\":\"virtio-disk2\","
            "\"bootindex\":1,\"write-cache\":\"on\",\"num-queues\":2%s}'",
            names[i],
            strstr(names[i], "transitional") ? "" :
            ",\"disable-legacy\":\"on\"");
        assert_string(qts, "/machine/peripheral/virtio-disk2", "type",
                      "xen-disk");
        assert_string(qts, "/machine/peripheral/virtio-disk2", "vdev",
                      "xvdc0");
        /* What both have is kept */
        answer = qtest_qmp(qts, "{'execute': 'qom-get', 'arguments': {"
            "'path': '/machine/peripheral/virtio-disk2',"
            "'property': 'num-queues'}}");
        g_assert_cmpint(qdict_get_int(answer, "return"), ==, 2);
        qobject_unref(answer);
        qtest_quit(qts);
    }

    qts = qtest_init(MACHINE
        "-netdev hubport,hubid=0,id=n -netdev hubport,hubid=1,id=m "
        "-netdev hubport,hubid=2,id=o "
        "-device pci-bridge,chassis_nr=1,id=pci.1,bus=pci.0,addr=0x6 "
        "-device virtio-net-pci,netdev=o,id=net2,bus=pci.1,addr=0x1 "
        "-device virtio-net-pci,netdev=n,id=net0,mac=00:16:3e:00:00:07,"
        "bus=pci.0,addr=0x2,mq=on,vectors=4,host_mtu=1400,rombar=0,romfile= "
        "-device netfront,netdev=m,id=net1,mac=00:16:3e:00:00:08,"
        "bus=pci.0,addr=0x4 "
        "-device virtio-balloon-pci,id=balloon0,bus=pci.0,addr=0x5,"
        "free-page-reporting=on");
    assert_string(qts, "/machine/peripheral/net0", "type", "xen-net-device");
    assert_string(qts, "/machine/peripheral/net0", "mac", "00:16:3e:00:00:07");
    assert_string(qts, "/machine/peripheral/net1", "type", "xen-net-device");
    assert_string(qts, "/machine/peripheral/net1", "mac", "00:16:3e:00:00:08");
    assert_string(qts, "/machine/peripheral/net2", "type", "xen-net-device");
    qobject_unref(qtest_qmp_assert_failure_ref(qts,
        "{ 'execute': 'device_add', 'arguments': {"
        " 'driver': 'pci-bridge', 'id': 'pci.1' } }"));
    qobject_unref(qtest_qmp_assert_failure_ref(qts,
        "{ 'execute': 'device_add', 'arguments': {"
        " 'driver': 'pci-bridge' } }"));
    /* The buses are only names: there is no PCI */
    answer = qtest_qmp(qts, "{ 'execute': 'query-pci' }");
    g_assert_true(qlist_empty(qdict_get_qlist(answer, "return")));
    qobject_unref(answer);
    /* The card goes, and comes again */
    qtest_qmp_assert_success(qts, "{ 'execute': 'device_del', 'arguments': {"
                             " 'id': 'net0' } }");
    qtest_qmp_eventwait(qts, "DEVICE_DELETED");
    qtest_qmp_assert_success(qts, "{ 'execute': 'device_add', 'arguments': {"
                             " 'driver': 'virtio-net-pci', 'netdev': 'n',"
                             " 'bus': 'pci.0', 'addr': '0x2',"
                             " 'id': 'net0' } }");
    assert_string(qts, "/machine/peripheral/net0", "type", "xen-net-device");
    qtest_quit(qts);
}

/* All else that PCI has is refused in words that tell what to have instead */
static void test_pci_refused(void)
{
    static const struct {
        const char *driver;
        const char *says;
        const char *type;       /* if it is not the driver's name */
    } none[] = {
        { "piix3-usb-uhci", "model='none'" },
        { "qemu-xhci", "model='none'" },
        { "VGA", "vfb=on" },
        { "cirrus-vga", "vfb=on" },
        { "e1000", "type='virtio'" },
        { "rtl8139", "type='virtio'" },
        { "megasas", "bus='virtio'" },
        { "pvscsi", "bus='virtio'" },
        { "pcie-root-port", "no PCI" },
        { "virtio-rng-pci", "no PCI" },
        /* Names that QEMU resolves after it has asked the machine */
        { "virtio-rng", "no PCI", "virtio-rng-pci" },
    };
    QTestState *qts = qtest_init(MACHINE);

    for (int i = 0; i < ARRAY_SIZE(none) * 2; i++) {
        const char *driver = none[i / 2].driver;
        QDict *answer, *error;

        /* A build that only tests this machine has few of them */
        if (!qtest_has_device(none[i / 2].type ?: driver)) {
            continue;
        }
        if (i % 2) {
            answer = qtest_qmp(qts, "{ 'execute': 'device_add', 'arguments': {"
                               " 'driver': %s, 'id': 'x', 'bus': 'pci.0',"
                               " 'addr': '0x3' } }", driver);
        } else {
            answer = qtest_qmp(qts, "{ 'execute': 'device_add', 'arguments': {"
                               " 'driver': %s, 'id': 'x' } }", driver);
        }
        error = qdict_get_qdict(answer, "error");
        g_assert_nonnull(error);
        g_test_message("%s", qdict_get_str(error, "desc"));
        g_assert_nonnull(strstr(qdict_get_str(error, "desc"),
                                "nothing that a Xen PV guest can have"));
        g_assert_nonnull(strstr(qdict_get_str(error, "desc"),
                                none[i / 2].says));
        qobject_unref(answer);
    }
    qtest_quit(qts);
}

/* The first is the primary console's, unless that has one */
static void test_console(void)
{
    QTestState *qts = qtest_init(MACHINE
        "-chardev null,id=c0 -chardev null,id=c1 "
        "-device isa-serial,chardev=c0,id=serial0,index=0 "
        "-device isa-serial,chardev=c1,id=serial1,index=1");

    assert_string(qts, "/machine/xenpv-console", "chardev", "c0");
    assert_string(qts, "/machine/peripheral/serial1", "type", "xen-console");
    assert_string(qts, "/machine/peripheral/serial1", "chardev", "c1");
    qtest_quit(qts);

    qts = qtest_init(MACHINE "-chardev null,id=c0 -serial null "
                     "-device isa-serial,chardev=c0,id=serial0");
    assert_string(qts, "/machine/xenpv-console", "chardev", "serial0");
    assert_string(qts, "/machine/peripheral/serial0", "chardev", "c0");
    qtest_quit(qts);
}

/* Whether a drive has a medium, as query-block tells */
static void assert_inserted(QTestState *qts, const char *id, const char *node)
{
    QDict *answer = qtest_qmp(qts, "{ 'execute': 'query-block' }");
    QListEntry *e;
    bool found = false;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(answer, "return"), e) {
        QDict *drive = qobject_to(QDict, qlist_entry_obj(e));
        QDict *inserted = qdict_get_qdict(drive, "inserted");

        if (!g_strcmp0(qdict_get_try_str(drive, "qdev"), id)) {
            found = true;
            g_assert_true(qdict_get_bool(drive, "removable"));
            g_assert_cmpstr(inserted ? qdict_get_str(inserted, "node-name")
                                     : NULL, ==, node);
        }
    }
    g_assert_true(found);
    qobject_unref(answer);
}

/* CD drives: names that no disk has, on controllers that are buses only; media */
static void test_cdrom(void)
{
    QTestState *qts;

    /* QEMU looks for the type before it asks, which a build with few lacks */
    if (!qtest_has_device("ich9-ahci") || !qtest_has_device("virtio-scsi-pci") ||
        !qtest_has_device("ide-cd") || !qtest_has_device("scsi-cd")) {
        g_test_skip("no controllers in this build");
        return;
    }
    qts = qtest_init(MACHINE
        "-blockdev null-co,node-name=a,size=1048576,read-only=on "
        "-blockdev null-co,node-name=b,size=2097152,read-only=on "
        "-device ahci,id=sata0,bus=pci.0,addr=0x5 "
        "-device virtio-scsi-pci,id=scsi0,bus=pci.0,addr=0x6 "
        "-device '{\"driver\":\"ide-cd\",\"bus\":\"sata0.1\",\"drive\":\"a\","
        "\"id\":\"sata0-0-1\",\"bootindex\":1}' "
        "-device '{\"driver\":\"scsi-cd\",\"bus\":\"scsi0.0\",\"channel\":0,"
        "\"scsi-id\":0,\"lun\":2,\"device_id\":\"x\",\"id\":\"scsi0-0-0-2\"}' "
        "-device ide-cd,bus=sata0.0,drive=b,id=ua-hdc");

    assert_string(qts, "/machine/peripheral/sata0-0-1", "type", "xen-cdrom");
    assert_string(qts, "/machine/peripheral/sata0-0-1", "vdev", "xvdo0");
    assert_string(qts, "/machine/peripheral/scsi0-0-0-2", "vdev", "xvdn0");
    assert_string(qts, "/machine/peripheral/ua-hdc", "vdev", "hdc0");
    assert_inserted(qts, "sata0-0-1", "a");
    assert_inserted(qts, "scsi0-0-0-2", NULL);
    assert_inserted(qts, "ua-hdc", "b");
    qtest_qmp_assert_success(qts, "{ 'execute': 'blockdev-remove-medium',"
                             " 'arguments': { 'id': 'ua-hdc' } }");
    assert_inserted(qts, "ua-hdc", NULL);
    qtest_qmp_assert_success(qts, "{ 'execute': 'blockdev-insert-medium',"
                             " 'arguments': { 'id': 'scsi0-0-0-2',"
                             " 'node-name': 'b' } }");
    assert_inserted(qts, "scsi0-0-0-2", "b");
    /* The buses are only names */
    qobject_unref(qtest_qmp_assert_failure_ref(qts,
        "{ 'execute': 'device_add', 'arguments': {"
        " 'driver': 'ide-hd', 'bus': 'sata0.2', 'drive': 'a' } }"));
    qobject_unref(qtest_qmp_assert_failure_ref(qts,
        "{ 'execute': 'device_add', 'arguments': {"
        " 'driver': 'scsi-hd', 'bus': 'scsi0.0', 'drive': 'a' } }"));
    qtest_quit(qts);
}

/* An agent's channel is a console that tells when somebody is there */
static void test_channel(void)
{
    bool has_scsi = qtest_has_device("virtio-scsi-pci") &&
                    qtest_has_device("scsi-cd");
    QTestState *qts = qtest_init(MACHINE
        "-chardev null,id=c0 "
        "-device virtio-serial-pci,id=virtio-serial0,bus=pci.0,addr=0x4,"
        "max_ports=4 "
        "-device '{\"driver\":\"virtserialport\",\"bus\":"
        "\"virtio-serial0.0\",\"nr\":1,\"chardev\":\"c0\",\"id\":\"channel0\","
        "\"name\":\"org.qemu.guest_agent.0\"}'");

    assert_string(qts, "/machine/peripheral/channel0", "type", "xen-console");
    assert_string(qts, "/machine/peripheral/channel0", "chardev", "c0");
    qobject_unref(qtest_qmp_assert_failure_ref(qts,
        "{ 'execute': 'device_add', 'arguments': {"
        " 'driver': 'virtio-serial-pci', 'id': 'virtio-serial0' } }"));
    qtest_quit(qts);

    /* As people type it, without a word that is not needed */
    qts = qtest_initf(MACHINE
        "-chardev null,id=c0 -chardev null,id=c1 -device virtio-serial "
        "-device virtserialport,chardev=c0,id=a,name=org.qemu.guest_agent.0 "
        "-device virtio-serial -device virtserialport,chardev=c1,id=b,name=b,"
        "bus=virtio-serial-bus.1 %s", has_scsi ? "-device virtio-scsi "
        "-device scsi-cd,bus=scsi.0,id=cd" : "");
    assert_string(qts, "/machine/peripheral/a", "type", "xen-console");
    assert_string(qts, "/machine/peripheral/b", "chardev", "c1");
    if (has_scsi) {         /* not in the build with sanitizers */
        assert_string(qts, "/machine/peripheral/cd", "type", "xen-cdrom");
    }
    qtest_quit(qts);
}

/* libvirt asks for a virtio disk's statistics by that name */
static void assert_statistics(QTestState *qts, const char *name)
{
    QDict *answer = qtest_qmp(qts, "{ 'execute': 'query-blockstats' }");
    QListEntry *e;
    bool found = false;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(answer, "return"), e) {
        QDict *stats = qobject_to(QDict, qlist_entry_obj(e));

        found |= !g_strcmp0(qdict_get_try_str(stats, "qdev"), name);
    }
    g_assert_true(found);
    qobject_unref(answer);
}

/* While it runs: a disk is added and taken away, all else is refused */
static void test_hotplug(void)
{
    static const char *const none[] = {
        "virtio-rng-device", "isa-debugcon",
    };
    QTestState *qts = qtest_init(MACHINE
                                 "-blockdev null-co,node-name=a,size=1048576");
    QDict *event, *data;

    qtest_qmp_assert_success(qts, "{ 'execute': 'device_add', 'arguments': {"
                             " 'driver': 'virtio-blk-device', 'drive': 'a',"
                             " 'id': 'virtio-disk1' } }");
    assert_string(qts, "/machine/peripheral/virtio-disk1", "vdev", "xvdb0");
    assert_statistics(qts, "/machine/peripheral/virtio-disk1/virtio-backend");
    qtest_qmp_assert_success(qts, "{ 'execute': 'device_del', 'arguments': {"
                             " 'id': 'virtio-disk1' } }");
    /* No guest has connected to it: it goes at once */
    event = qtest_qmp_eventwait_ref(qts, "DEVICE_DELETED");
    data = qdict_get_qdict(event, "data");
    g_assert_cmpstr(qdict_get_try_str(data, "device"), ==, "virtio-disk1");
    qobject_unref(event);
    for (int i = 0; i < ARRAY_SIZE(none); i++) {
        qobject_unref(qtest_qmp_assert_failure_ref(qts,
            "{ 'execute': 'device_add', 'arguments': {"
            " 'driver': %s, 'id': 'x' } }", none[i]));
    }
    /* A chardev that is not there, a name that is taken */
    qobject_unref(qtest_qmp_assert_failure_ref(qts,
        "{ 'execute': 'device_add', 'arguments': {"
        " 'driver': 'isa-serial', 'chardev': 'none' } }"));
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("xenpv-standins/disks", test_disks);
    qtest_add_func("xenpv-standins/network", test_network);
    qtest_add_func("xenpv-standins/pci", test_pci);
    qtest_add_func("xenpv-standins/pci-refused", test_pci_refused);
    qtest_add_func("xenpv-standins/console", test_console);
    qtest_add_func("xenpv-standins/cdrom", test_cdrom);
    qtest_add_func("xenpv-standins/channel", test_channel);
    qtest_add_func("xenpv-standins/hotplug", test_hotplug);
    return g_test_run();
}
