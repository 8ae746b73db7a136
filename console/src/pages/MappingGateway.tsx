import { type MappingGateway, type MappingGatewayInput, mappingGateways } from '../api/resources';
import { type Messages, useText } from '../i18n';
import type { Section } from '../ui/EditorForm';
import { choices } from '../ui/fields';
import { GatewaySummary } from '../ui/GatewaySummary';
import { ResourcePage } from '../ui/ResourcePage';
import { callerRoutingSection, listSection, numberSection } from './routingFields';

export const NEW_MAPPING: MappingGatewayInput = {
  name: '',
  account: '',
  enabled: true,
  authentication: 'ip',
  addresses: [],
  username: null,
  password: null,
  called_prefixes: [],
  caller_rewrite: [],
  called_rewrite: [],
  caller_source: 'from',
  called_source: 'request_uri',
  reply_address: 'socket',
  request_address: 'socket',
  max_cps: null,
  max_concurrency: null,
  rate_group: null,
  call_level: null,
  support_privacy: false,
  routing: {} as MappingGatewayInput['routing'],
  parameters: {},
  notes: '',
};

export function MappingGatewayPage() {
  const t = useText();
  return (
    <ResourcePage<MappingGateway, MappingGatewayInput>
      list="mapping-gateways"
      listName={t.nav.mappingGateways}
      newName={t.gateways.addMapping}
      store={mappingGateways}
      start={NEW_MAPPING}
      sections={(existing) => sectionsOf(t, existing?.has_password ?? false)}
      summary={(gateway) => <GatewaySummary filter="mapping_gateway" gateway={gateway} />}
    />
  );
}

function sectionsOf(t: Messages, hasPassword: boolean): Section[] {
  const g = t.gateways;
  return [
    {
      title: g.sectionBasic,
      fields: [
        { name: 'name', label: t.common.name, kind: 'text', needed: true },
        { name: 'account', label: t.common.account, kind: 'account', needed: true },
        { name: 'enabled', label: g.enabled, kind: 'switch' },
        { name: 'authentication', label: g.authentication, kind: 'choice', options: choices(g.authentications) },
        { name: 'addresses', label: g.addresses, kind: 'texts', help: g.addressesHelp },
        { name: 'username', label: g.username, kind: 'text', nullable: true },
        {
          name: 'password',
          label: g.password,
          kind: 'password',
          nullable: true,
          placeholder: hasPassword ? g.passwordKept : undefined,
        },
      ],
    },
    {
      title: g.sectionNumbers,
      fields: [
        { name: 'called_prefixes', label: g.calledPrefixes, kind: 'texts', help: g.calledPrefixesHelp },
        { name: 'caller_rewrite', label: g.callerRewrite, kind: 'lines', help: g.rewriteHelp },
        { name: 'called_rewrite', label: g.calledRewrite, kind: 'lines', help: g.rewriteHelp },
        { name: 'caller_source', label: g.callerSource, kind: 'choice', options: choices(g.callerSources) },
        { name: 'called_source', label: g.calledSource, kind: 'choice', options: choices(g.calledSources) },
      ],
    },
    callerRoutingSection(t),
    numberSection(t),
    listSection(t, 'routing.lists'),
    {
      title: g.sectionLimits,
      fields: [
        { name: 'max_concurrency', label: g.maxConcurrency, kind: 'whole', nullable: true },
        { name: 'max_cps', label: g.maxCps, kind: 'whole', nullable: true },
      ],
    },
    {
      title: g.sectionSip,
      fields: [
        { name: 'reply_address', label: g.replyAddress, kind: 'choice', options: choices(g.replyAddresses) },
        { name: 'request_address', label: g.requestAddress, kind: 'choice', options: choices(g.requestAddresses) },
        { name: 'support_privacy', label: t.gatewayFields.supportPrivacy, kind: 'switch' },
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
