# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A double of a Juju controller. No real controller was ever asked: what is tested against this is named "double".

double_model.py: machines, units, leases, upgrade locks and their agents. double_controller.py: the websocket and its facades.

From the sources of Juju 2.9.21, 3.6.28 and 4.0.15: envelope, facades and versions, argument and result fields, error texts and codes, the
order "pin, hooks, prepare completed" and "lock deleted, then unpin", who may call what, the connection that is dropped when silent.
Deduced, not seen in any run: the words of the refusal to a client of another major version; that a deposed holder's unit waits its turn
in the order of units; the pace of everything. Left out: messages and watchers of upgrades, migrations but for the redirection, CAAS.
"""
