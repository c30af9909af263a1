/**
 * What a role may do, as PROTOCOL says it, so that the page offers nothing that is going to be refused. Pure.
 */
import type { Received, Role } from 'parlor-client';

const RANK: Readonly<Record<Role, number>> = { reader: 0, member: 1, moderator: 2, admin: 3, owner: 4 };

export interface Rights {
  readonly write: boolean;
  readonly invite: boolean;
  readonly update: boolean;
  readonly leave: boolean;
  readonly unban: boolean;
}

function rankOf(role: Role | undefined): number { return role === undefined ? -1 : RANK[role]; }

export function rightsIn({ kind, role }: Received.Room): Rights {
  const rank = rankOf(role);
  const direct = kind === 'direct';
  return {
    write: rank >= RANK.member,
    invite: !direct && rank >= (kind === 'group' ? RANK.member : RANK.admin),
    update: !direct && rank >= RANK.admin,
    leave: !direct && rank >= 0,
    unban: !direct && rank >= RANK.moderator,
  };
}

/** Whether one may mute, remove and ban somebody of this role. */
export function mayModerate({ kind, role }: Received.Room, other: Role): boolean {
  return kind !== 'direct' && rankOf(role) >= RANK.moderator && rankOf(role) > RANK[other];
}

/** The roles one may give to somebody who has this one. */
export function mayGive({ kind, role }: Received.Room, other: Role): Role[] {
  if (kind === 'direct' || rankOf(role) < RANK.admin) return [];
  if (role !== 'owner' && RANK[other] >= RANK.admin) return [];
  const all: Role[] = ['reader', 'member', 'moderator', 'admin', 'owner'];
  return all.filter((one) => one !== other && (role === 'owner' || RANK[one] < RANK.admin));
}

/** Highest first, then by name. */
export function byRank(a: Received.Member, b: Received.Member): number {
  return RANK[b.role] - RANK[a.role] || a.user_id.localeCompare(b.user_id);
}
