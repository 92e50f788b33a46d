# SPDX-License-Identifier: GPL-2.0-or-later
"""Sphinx's configuration for this tree's documents by themselves"""

project = 'xenpv-kvm'
copyright = 'the developers of xenpv-kvm'
root_doc = 'index-xenpv'
html_theme = 'alabaster'
html_show_copyright = False
html_copy_source = False
smartquotes = False
man_pages = [
    ('tools/xenner', 'xenner', 'start Xen PV guests by xenner\'s command line',
     [], 1),
    ('tools/xenpv-convert', 'xenpv-convert',
     'take Xen PV guests to QEMU and libvirt', [], 1),
    ('tools/qemu-xenpv', 'qemu-xenpv-x86_64', 'QEMU for Xen PV guests', [], 1),
    ('tools/qemu-xenpv', 'qemu-xenpv-i386', 'QEMU for Xen PV guests', [], 1),
]
