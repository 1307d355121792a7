import { type ReactNode, useEffect, useRef, useState } from 'react';
import { Problem, useDeed } from './page.js';
import { request, type UserError } from './session.js';

type Role = 'OWNER' | 'EDITOR' | 'VIEWER';
const ROLES: Record<Role, string> = { OWNER: 'an owner', EDITOR: 'an editor', VIEWER: 'a viewer' };

export interface Invitation {
  id: string;
  handle: string;
  name: string;
  /** Null when it was answered elsewhere just now. */
  viewerInvitation: { role: Role } | null;
}

const ACCEPT = `mutation ($input: AcceptChannelMembershipInput!) {
  answer: acceptChannelMembership(input: $input) { userErrors { code message field } } }`;
const DECLINE = `mutation ($input: RemoveChannelMemberInput!) {
  answer: removeChannelMember(input: $input) { userErrors { code message field } } }`;

/** The channels that ask the viewer to become a member. Empty while none does. */
export function Invitations(props: {
  invitations: readonly Invitation[];
  viewerId: string;
  onChange: () => Promise<void>;
}) {
  const { invitations, viewerId, onChange } = props;
  const { isBusy, problem, act } = useDeed();
  const [said, setSaid] = useState<ReactNode>(null);
  const outcome = useRef<HTMLDivElement>(null);
  // The pressed button goes with its invitation: the keyboard, and who listens, come to what became of it.
  useEffect(() => {
    if (said || problem) outcome.current?.focus();
  }, [said, problem]);

  const answer = (mutation: string, input: object, done: ReactNode) =>
    act(async () => {
      setSaid(null);
      try {
        const { userErrors } = (await request<{ answer: { userErrors: UserError[] } }>(mutation, { input })).answer;
        if (userErrors[0]) throw new Error(userErrors[0].message);
        setSaid(done);
      } finally {
        // Also after a refusal: what was taken back is shown no longer.
        await onChange();
      }
    });

  return (
    <>
      {invitations.map(({ id, handle, name, viewerInvitation }) => {
        if (!viewerInvitation) return null;
        const role = ROLES[viewerInvitation.role];
        const shown = <bdi>{name}</bdi>;
        return (
          <section key={id} className="card line" aria-label={`Invitation to ${name}`}>
            <p>
              <strong>{shown}</strong> <span className="soft">@{handle}</span> asks you to be {role}.
            </p>
            <div className="buttons">
              <button
                type="button"
                className="loud"
                aria-busy={isBusy}
                aria-label={`Accept to be ${role} of ${name}`}
                onClick={() =>
                  answer(
                    ACCEPT,
                    { channelId: id },
                    <>
                      You are {role} of {shown} now.
                    </>,
                  )
                }
              >
                Accept
              </button>
              <button
                type="button"
                className="quiet"
                aria-busy={isBusy}
                aria-label={`Decline to be ${role} of ${name}`}
                onClick={() => answer(DECLINE, { channelId: id, userId: viewerId }, <>You declined {shown}.</>)}
              >
                Decline
              </button>
            </div>
          </section>
        );
      })}
      <div ref={outcome} tabIndex={-1}>
        {said && <p>{said}</p>}
        <Problem text={problem} />
      </div>
    </>
  );
}
