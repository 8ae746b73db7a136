/** Fields of both kinds of gateway for what a call passes on its way: numbers, lists, hours, orders. */
import type { Messages } from '../i18n';
import type { Section } from '../ui/EditorForm';
import { type Codec, choices, type Field } from '../ui/fields';

interface PrefixRule {
  prefix: string;
  priority?: number | null;
  mode?: string | null;
  calendar?: string | null;
}

/** `8801 priority=2 mode=terminate calendar=Nights`; what a calendar is called may have blanks and so stands last. */
export const prefixRule: Codec = {
  read: (line): PrefixRule => {
    const [front = '', calendar] = line.split(/\s+calendar=/);
    const [prefix = '', ...words] = front.split(/\s+/);
    const of = (name: string) => words.find((w) => w.startsWith(`${name}=`))?.slice(name.length + 1);
    const priority = of('priority');
    return {
      prefix,
      priority: priority ? Number(priority) : null,
      mode: of('mode') ?? null,
      calendar: calendar ?? null,
    };
  },
  write: ({ prefix, priority, mode, calendar }: PrefixRule) =>
    [prefix, priority != null && `priority=${priority}`, mode && `mode=${mode}`, calendar && `calendar=${calendar}`]
      .filter(Boolean)
      .join(' '),
};

/** `70 881`: the share, and the prefix for it. */
export const proportion: Codec = {
  read: (line) => {
    const [share, prefix = ''] = line.split(/\s+/);
    return { share: Number(share), prefix };
  },
  write: ({ prefix, share }: { prefix: string; share?: number }) => `${share ?? 1} ${prefix}`.trim(),
};

/** Length and prefixes of both numbers. */
export function numberSection(t: Messages): Section {
  const g = t.gatewayFields;
  const rule = (which: string, words: [string, string, string, string]): Field[] => [
    { name: `routing.numbers.${which}.min_length`, label: words[0], kind: 'whole', nullable: true },
    { name: `routing.numbers.${which}.max_length`, label: words[1], kind: 'whole', nullable: true },
    { name: `routing.numbers.${which}.allowed_prefixes`, label: words[2], kind: 'texts', help: g.emptyAll },
    { name: `routing.numbers.${which}.denied_prefixes`, label: words[3], kind: 'texts', help: g.emptyNone },
  ];
  return {
    title: g.sectionNumbers,
    fields: [
      ...rule('caller', [g.callerMin, g.callerMax, g.callerAllowed, g.callerDenied]),
      ...rule('called', [g.calledMin, g.calledMax, g.calledAllowed, g.calledDenied]),
    ],
  };
}

/** Black and white lists, of a gateway (`routing.lists`) or an account (`lists`). */
export function listSection(t: Messages, under: string): Section {
  const g = t.gatewayFields;
  const list = (name: string, label: string): Field => ({
    name: `${under}.${name}`,
    label,
    kind: 'picks',
    of: 'number-lists',
  });
  return {
    title: g.sectionLists,
    fields: [
      list('caller_black', g.callerBlack),
      list('caller_white', g.callerWhite),
      list('called_black', g.calledBlack),
      list('called_white', g.calledWhite),
    ],
  };
}

export const callLevel = (t: Messages, name: string): Field => ({
  name,
  label: t.gatewayFields.callLevel,
  kind: 'choice',
  nullable: true,
  options: choices(t.gatewayFields.levels),
  help: t.phones.callLevelHelp,
});

const calendar = (t: Messages): Field => ({
  name: 'routing.calendar',
  label: t.gatewayFields.calendar,
  kind: 'pick',
  of: 'calendars',
  nullable: true,
  help: t.gatewayFields.calendarHelp,
});

/** How a mapping gateway's calls are routed. */
export function callerRoutingSection(t: Messages): Section {
  const g = t.gatewayFields;
  const policy = (name: string, label: string): Field => ({
    name,
    label,
    kind: 'choice',
    nullable: true,
    options: choices(g.policies),
    help: g.policyHelp,
  });
  const limit = (name: string, label: string): Field => ({
    name: `routing.number_limits.${name}`,
    label,
    kind: 'whole',
    nullable: true,
  });
  return {
    title: g.sectionOrder,
    fields: [
      policy('routing.first_policy', g.firstPolicy),
      policy('routing.second_policy', g.secondPolicy),
      {
        name: 'routing.allowed_gateways',
        label: g.allowedGateways,
        kind: 'picks',
        of: 'routing-gateways',
        help: g.emptyAll,
      },
      { name: 'routing.forbidden_gateways', label: g.forbiddenGateways, kind: 'picks', of: 'routing-gateways' },
      { name: 'routing.allowed_groups', label: g.allowedGroups, kind: 'picks', of: 'gateway-groups', help: g.emptyAll },
      { name: 'routing.forbidden_groups', label: g.forbiddenGroups, kind: 'picks', of: 'gateway-groups' },
      calendar(t),
      callLevel(t, 'call_level'),
      { name: 'rate_group', label: t.accounts.rateGroup, kind: 'rateGroup', nullable: true },
      { name: 'routing.dynamic_black_list', label: g.dynamicBlack, kind: 'switch' },
      limit('caller_max_concurrency', g.oneCallerCalls),
      limit('caller_max_cps', g.oneCallerCps),
      limit('called_max_concurrency', g.oneCalledCalls),
      limit('called_max_cps', g.oneCalledCps),
      {
        name: 'routing.proportional_prefixes',
        label: g.proportional,
        kind: 'lines',
        help: g.proportionalHelp,
        codec: proportion,
      },
    ],
  };
}

/** How a routing gateway stands among the others. */
export function gatewayOrderSection(t: Messages): Section {
  const g = t.gatewayFields;
  return {
    title: g.sectionOrder,
    fields: [
      { name: 'routing.weight', label: g.weight, kind: 'whole', help: g.weightHelp },
      { name: 'routing.mode', label: g.mode, kind: 'choice', options: choices(g.modes) },
      { name: 'routing.protected', label: g.protect, kind: 'switch', help: g.protectHelp },
      { name: 'routing.groups', label: g.groups, kind: 'picks', of: 'gateway-groups' },
      { name: 'routing.reserved_lines', label: g.reservedLines, kind: 'whole' },
      calendar(t),
      callLevel(t, 'routing.call_level'),
      { name: 'rate_group', label: t.accounts.rateGroup, kind: 'rateGroup', nullable: true },
      {
        name: 'routing.allowed_mapping_gateways',
        label: g.allowedMapping,
        kind: 'picks',
        of: 'mapping-gateways',
        help: g.emptyAll,
      },
      { name: 'routing.forbidden_mapping_gateways', label: g.forbiddenMapping, kind: 'picks', of: 'mapping-gateways' },
      { name: 'routing.prefixes', label: g.prefixRules, kind: 'lines', help: g.prefixRulesHelp, codec: prefixRule },
    ],
  };
}

/** Registration in either direction, and the question whether the gateway is there. */
export function registerSection(t: Messages): Section {
  const g = t.gatewayFields;
  return {
    title: g.sectionRegister,
    fields: [
      { name: 'register', label: g.register, kind: 'switch', help: g.registerHelp },
      { name: 'dynamic', label: g.dynamic, kind: 'switch', help: g.dynamicHelp },
      { name: 'register_domain', label: g.registerDomain, kind: 'text', nullable: true, help: g.registerDomainHelp },
      { name: 'authentication_user', label: g.authUser, kind: 'text', nullable: true, help: g.authUserHelp },
      { name: 'register_expires', label: g.registerExpires, kind: 'whole', nullable: true, placeholder: ' ' },
      {
        name: 'check_interval',
        label: g.checkInterval,
        kind: 'whole',
        nullable: true,
        placeholder: ' ',
        help: g.checkIntervalHelp,
      },
    ],
  };
}

/** What is said of the caller to the vendor. */
export function identitySection(t: Messages): Section {
  const g = t.gatewayFields;
  const claim = (name: string, label: string): Field => ({ name, label, kind: 'choice', options: choices(g.claims) });
  return {
    title: g.sectionIdentity,
    fields: [
      claim('asserted_identity', g.asserted),
      claim('preferred_identity', g.preferred),
      claim('remote_party_id', g.remoteParty),
      { name: 'privacy', label: g.privacy, kind: 'choice', options: choices(g.privacies) },
      { name: 'caller_pool', label: g.callerPool, kind: 'texts' },
      { name: 'caller_pool_order', label: g.poolOrder, kind: 'choice', options: choices(g.poolOrders) },
      { name: 'caller_pool_multiplexes', label: g.poolCalls, kind: 'whole', nullable: true },
      { name: 'local_domain', label: g.localDomain, kind: 'switch' },
      { name: 'extra_headers', label: g.extraHeaders, kind: 'texts', help: g.extraHeadersHelp },
      { name: 'asserted_rewrite', label: g.assertedRewrite, kind: 'lines', help: t.gateways.rewriteHelp },
    ],
  };
}
