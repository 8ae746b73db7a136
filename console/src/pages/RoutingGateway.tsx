import { type RoutingGateway, type RoutingGatewayInput, routingGateways } from '../api/resources';
import { type Messages, useText } from '../i18n';
import type { Section } from '../ui/EditorForm';
import { choices } from '../ui/fields';
import { GatewaySummary } from '../ui/GatewaySummary';
import { ResourcePage } from '../ui/ResourcePage';
import { gatewayOrderSection, identitySection, listSection, numberSection, registerSection } from './routingFields';

const ROUTING: RoutingGatewayInput['routing'] = { weight: 1, mode: 'continue' } as RoutingGatewayInput['routing'];

export const NEW_ROUTING: RoutingGatewayInput = {
  name: '',
  account: '',
  enabled: true,
  address: '',
  transport: 'udp',
  username: null,
  password: null,
  dynamic: false,
  register: false,
  register_domain: null,
  authentication_user: null,
  register_expires: null,
  check_interval: null,
  prefixes: [],
  priority: 1,
  max_cps: null,
  max_concurrency: null,
  failover_codes: null,
  follow_redirects: false,
  lowest_profit_per_minute: null,
  max_price_per_minute: null,
  check_rate: false,
  rate_group: null,
  caller_rewrite: [],
  called_rewrite: [],
  rate_rewritten: false,
  asserted_identity: 'none',
  asserted_rewrite: [],
  preferred_identity: 'none',
  remote_party_id: 'none',
  privacy: 'none',
  caller_pool: [],
  caller_pool_multiplexes: null,
  caller_pool_order: 'random',
  local_domain: false,
  extra_headers: [],
  routing: ROUTING,
  reply_address: 'socket',
  request_address: 'socket',
  parameters: {},
  notes: '',
};

export function RoutingGatewayPage() {
  const t = useText();
  return (
    <ResourcePage<RoutingGateway, RoutingGatewayInput>
      list="routing-gateways"
      listName={t.nav.routingGateways}
      newName={t.gateways.addRouting}
      store={routingGateways}
      start={NEW_ROUTING}
      sections={(existing) => sectionsOf(t, existing?.has_password ?? false)}
      summary={(gateway) => <GatewaySummary filter="routing_gateway" gateway={gateway} />}
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
        { name: 'address', label: g.address, kind: 'text', mono: true, help: g.addressHelp },
        {
          name: 'transport',
          label: g.transport,
          kind: 'choice',
          options: [
            { value: 'udp', label: 'UDP' },
            { value: 'tcp', label: 'TCP' },
          ],
        },
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
    registerSection(t),
    {
      title: g.sectionRouting,
      fields: [
        { name: 'prefixes', label: g.prefixes, kind: 'texts', help: g.prefixesHelp },
        { name: 'priority', label: g.priority, kind: 'whole', help: g.priorityHelp },
        { name: 'failover_codes', label: g.failoverCodes, kind: 'wholes', nullable: true, help: g.failoverHelp },
        { name: 'follow_redirects', label: g.followRedirects, kind: 'switch' },
        {
          name: 'lowest_profit_per_minute',
          label: g.lowestProfit,
          kind: 'decimal',
          nullable: true,
          help: g.lowestProfitHelp,
        },
        { name: 'max_price_per_minute', label: g.maxPrice, kind: 'decimal', nullable: true, help: g.maxPriceHelp },
        { name: 'check_rate', label: g.checkRate, kind: 'switch', help: g.checkRateHelp },
        { name: 'caller_rewrite', label: g.callerRewrite, kind: 'lines', help: g.rewriteHelp },
        { name: 'called_rewrite', label: g.calledRewrite, kind: 'lines', help: g.rewriteHelp },
        { name: 'rate_rewritten', label: g.rateRewritten, kind: 'switch', help: g.rateRewrittenHelp },
      ],
    },
    gatewayOrderSection(t),
    {
      title: g.sectionLimits,
      fields: [
        { name: 'max_concurrency', label: g.maxConcurrency, kind: 'whole', nullable: true },
        { name: 'max_cps', label: g.maxCps, kind: 'whole', nullable: true },
      ],
    },
    numberSection(t),
    listSection(t, 'routing.lists'),
    identitySection(t),
    {
      title: g.sectionSip,
      fields: [
        { name: 'reply_address', label: g.replyAddress, kind: 'choice', options: choices(g.replyAddresses) },
        { name: 'request_address', label: g.requestAddress, kind: 'choice', options: choices(g.requestAddresses) },
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
