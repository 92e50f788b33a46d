/*
 * Where things are: constants that C and assembly share, and all differences
 * between the 32-bit and the 64-bit monitor that a constant can express
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef XENPV_LAYOUT_H
#define XENPV_LAYOUT_H

#include "hw/xenpv/xenpv-monitor.h"

/*
 * Each vCPU has an area of virtual addresses: 2 MiB, mapped by an L1 table of
 * its own, or with 32 bits 1 MiB and half a table. The vCPU's stacks in the
 * monitor are in it, so the stack pointer leads to the area, and thus to
 * everything about the current vCPU. Page numbers within the area:
 */
#ifdef __x86_64__
#define VCPU_AREA_SHIFT     21
#else
#define VCPU_AREA_SHIFT     20
#endif
#define VCPU_AREA_SIZE      (1 << VCPU_AREA_SHIFT)
#define VCPU_AREAS_PER_L1   (0x200000 / VCPU_AREA_SIZE)
#define AREA_GDT            0       /* the GDT: 14 guest frames, 2 of ours */
#define AREA_LDT            16      /* the LDT: 16 guest frames */
#define AREA_VCPU_INFO      32      /* the frame with the guest's vcpu_info */
#define AREA_APIC           34      /* the xAPIC page, where there is no x2APIC */
#define AREA_STUB           36      /* 64-bit: code that SYSCALL enters */
#define AREA_STACK          38      /* two pages; 37 is the guard */
#define AREA_VCPU           40      /* struct vcpu; the stack's end */
#define AREA_VCPU_PAGES     4
#define AREA_TSS            45
#define AREA_IDT            46
#define AREA_DF_STACK       48      /* 47, 49, 51 and 53 are guards */
#define AREA_NMI_STACK      50
#define AREA_DB_STACK       52
#define AREA_PDPT           54      /* 32-bit: the PAE top level in use */
#define AREA_UPPER          56      /* 32-bit: tables for the top GiB, copies */
#define AREA_NR_UPPER       4       /* of the guest's: see base_tables-32.c */
#define AREA_WINDOW         128     /* 32-bit: guest frames, see frame.h */
#define AREA_WINDOW_PAGES   128

#define VCPU_OFFSET         (AREA_VCPU * 4096)

/* struct vcpu: offsets of what assembly uses, in longs */
#define V_SCRATCH           0
#define V_KERNEL_SP         1
#define V_KERNEL_CR3        2
#define V_USER_CR3          3
#define V_VCPU_INFO         4
#define V_SYSCALL_CB        5
#define V_MODE              6       /* byte: V_MODE_KERNEL or 0 */
#define V_MODE_KERNEL       1
#define V_SYSCALL_MASKS     7       /* byte: syscalls mask event delivery */
#define V_IN_NMI            8       /* byte: an iret ends it */
#define V_EVENT_IP          9       /* the event callback; 0: none */
#define V_TRAPS             14      /* struct trap_info, by vector */

/*
 * Selectors of our part of the GDT. The guest-visible ones have the values
 * and meanings of Xen's FLAT_* selectors (public/arch-x86/xen-x86_*.h).
 */
#define MON_CS              0xe008
#define MON_DS              0xe010
#define SEL_TSS             0xe040
#define SEL_LDT             0xe050
#define SEL_DF_TSS          0xe060  /* 32-bit: the double-fault task */

#ifdef __x86_64__
#define WORD                8
#define CORE_VIRT           XENPV_CORE_VIRT_64
#define VCPU_VIRT           XENPV_VCPU_VIRT_64
#define M2P_VIRT            XENPV_M2P_VIRT_64
/*
 * The 64-bit guest kernel runs in ring 1. For paging that is supervisor mode,
 * so the monitor need not rewrite the guest's page-table entries. The guest
 * sees Xen's selectors in its frames (see bounce.c).
 */
#define RING1_CS            0xe019
#define RING1_SS            0xe069
#define USER_CS             0xe033  /* FLAT_RING3_CS64 */
#define USER_SS             0xe02b  /* FLAT_RING3_SS64 */
#define USER_CS32           0xe023  /* FLAT_RING3_CS32 */
#define SYSCALL32_STUB      64      /* its offset in the stub page */
#define KERNEL_FRAME_CS     0xe030  /* the guest kernel's CS as it sees it */
#define KERNEL_FRAME_SS     0xe02b
/* The tables in use, as an array of level-1 entries: L4 slot 259 */
#define LINEAR_VIRT         0xffff818000000000
/* Bits 43 and up, which are the same in all addresses of the hypervisor */
#define HV_BITS             0x1ffff0
#define VCPU_INFO_CR2       16      /* struct vcpu_info's .arch.cr2 */
#define HV_SLOT             256     /* L4 entries of the hypervisor */
#define HV_SLOT_END         272
#else
#define WORD                4
#define CORE_VIRT           XENPV_CORE_VIRT_32
#define VCPU_VIRT           XENPV_VCPU_VIRT_32
#define M2P_VIRT            XENPV_M2P_VIRT_32
#define FRAME_TABLE_VIRT    0xfc000000
/* The tables in use, as an array of level-1 entries */
#define LINEAR_VIRT         0xfe000000
#define RING1_CS            0xe019  /* FLAT_RING1_CS */
#define RING1_SS            0xe021  /* FLAT_RING1_SS */
#define USER_SS             0xe033  /* FLAT_RING3_SS */
#define KERNEL_FRAME_CS     0       /* used by the 64-bit monitor alone */
#define KERNEL_FRAME_SS     0
#define HV_SLOT             428     /* L2 entries of the top GiB's table */
#define HV_SLOT_END         512
#endif

#define STACK_TOP           ((AREA_STACK + 2) * 4096)

/* EFLAGS */
#define EFL_TF              0x100
#define EFL_IF              0x200
#define EFL_DF              0x400
#define EFL_IOPL            0x3000
#define EFL_NT              0x4000
#define EFL_RF              0x10000
#define EFL_VM              0x20000
#define EFL_AC              0x40000

/* Exceptions for which the CPU pushes an error code, by vector */
#define HAS_ERROR_CODE      0x60227d00

/* Made-up vectors of entries that do not come through the IDT */
#define VECTOR_SYSCALL32    0x100
#define VECTOR_SYSENTER     0x101
#define VECTOR_SYSCALL      0x102   /* the guest has no handler for it */

/* struct regs: longs before .cs, and in all */
#ifdef __x86_64__
#define FRAME_CS            17
#else
#define FRAME_CS            11
#define FRAME_LONGS         15
#endif

/* Longs on the stack in a hypercall, above its handler's return address */
#ifdef __x86_64__
#define HYPERCALL_LONGS     11
#else
#define HYPERCALL_LONGS     FRAME_LONGS
#endif

#endif
