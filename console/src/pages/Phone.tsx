import { type Phone, type PhoneInput, phones } from '../api/resources';
import { type Messages, useText } from '../i18n';
import { count, NONE } from '../lib/format';
import { ContactTable } from '../ui/ContactTable';
import type { Section } from '../ui/EditorForm';
import { Facts } from '../ui/Page';
import { ResourcePage } from '../ui/ResourcePage';
import { PhoneState } from '../ui/State';
import { callLevel } from './routingFields';

export const NEW_PHONE: PhoneInput = {
  number: '',
  account: '',
  enabled: true,
  username: null,
  password: null,
  display_number: null,
  call_level: null,
  allowed_destinations: [],
  rate_group: null,
  max_concurrency: null,
  max_contacts: 5,
  ring_seconds: null,
  do_not_disturb: false,
  forward_always: null,
  forward_busy: null,
  forward_no_answer: null,
  forward_not_reachable: null,
  parameters: {},
  notes: '',
};

export function PhonePage() {
  const t = useText();
  return (
    <ResourcePage<Phone, PhoneInput>
      list="phones"
      listName={t.nav.phones}
      newName={t.phones.add}
      store={phones}
      start={NEW_PHONE}
      sections={(existing) => sectionsOf(t, existing?.has_password ?? false)}
      summary={(phone) => (
        <>
          <Facts
            facts={[
              [t.common.state, <PhoneState key="state" phone={phone} />],
              [t.common.openCalls, count(phone.calls)],
              [t.phones.devices, phone.registration ? count(phone.registration.contacts.length) : NONE],
            ]}
          />
          {phone.registration && <ContactTable contacts={phone.registration.contacts} />}
        </>
      )}
    />
  );
}

function sectionsOf(t: Messages, hasPassword: boolean): Section[] {
  const [p, g] = [t.phones, t.gateways];
  const forward = (name: string, label: string) => ({ name, label, kind: 'text' as const, nullable: true, mono: true });
  return [
    {
      title: g.sectionBasic,
      fields: [
        { name: 'number', label: p.number, kind: 'text', needed: true, mono: true },
        { name: 'account', label: t.common.account, kind: 'account', needed: true },
        { name: 'enabled', label: g.enabled, kind: 'switch' },
        { name: 'username', label: g.username, kind: 'text', nullable: true, help: p.usernameHelp },
        {
          name: 'password',
          label: g.password,
          kind: 'password',
          nullable: true,
          placeholder: hasPassword ? g.passwordKept : undefined,
        },
        { name: 'max_contacts', label: p.maxContacts, kind: 'whole' },
      ],
    },
    {
      title: p.sectionCalls,
      fields: [
        {
          name: 'display_number',
          label: p.displayNumber,
          kind: 'text',
          nullable: true,
          mono: true,
          help: p.displayNumberHelp,
        },
        callLevel(t, 'call_level'),
        { name: 'allowed_destinations', label: p.destinations, kind: 'texts', help: p.destinationsHelp },
        { name: 'rate_group', label: t.accounts.rateGroup, kind: 'rateGroup', nullable: true },
        { name: 'max_concurrency', label: g.maxConcurrency, kind: 'whole', nullable: true },
      ],
    },
    {
      title: p.sectionForward,
      fields: [
        { name: 'do_not_disturb', label: p.dnd, kind: 'switch' },
        { name: 'ring_seconds', label: p.ringSeconds, kind: 'whole', nullable: true, placeholder: ' ' },
        forward('forward_always', p.forwardAlways),
        forward('forward_busy', p.forwardBusy),
        forward('forward_no_answer', p.forwardNoAnswer),
        forward('forward_not_reachable', p.forwardAway),
      ],
    },
    {
      title: g.sectionParameters,
      fields: [
        { name: 'parameters', label: g.addParameter, kind: 'parameters' },
        { name: 'notes', label: t.common.notes, kind: 'longText' },
      ],
    },
  ];
}
