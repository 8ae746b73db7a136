import type { MappingGateway, RoutingGateway } from '../src/api/resources';

// What a document says about routes when nothing is said: the defaults of the API.
export const noLists = {
  called_black: [],
  called_white: [],
  caller_black: [],
  caller_white: [],
};

export const callerRouting: MappingGateway['routing'] = {
  allowed_gateways: [],
  allowed_groups: [],
  calendar: null,
  dynamic_black_list: false,
  first_policy: null,
  forbidden_gateways: [],
  forbidden_groups: [],
  lists: {
    called_black: [],
    called_white: [],
    caller_black: [],
    caller_white: [],
  },
  number_limits: {
    called_max_concurrency: null,
    called_max_cps: null,
    caller_max_concurrency: null,
    caller_max_cps: null,
  },
  numbers: {
    called: {
      allowed_prefixes: [],
      denied_prefixes: [],
      max_length: null,
      min_length: null,
    },
    caller: {
      allowed_prefixes: [],
      denied_prefixes: [],
      max_length: null,
      min_length: null,
    },
  },
  proportional_prefixes: [],
  scheduled_rewrites: [],
  second_policy: null,
};

export const gatewayRouting: RoutingGateway['routing'] = {
  allowed_mapping_gateways: [],
  calendar: null,
  call_level: null,
  forbidden_mapping_gateways: [],
  groups: [],
  lists: {
    called_black: [],
    called_white: [],
    caller_black: [],
    caller_white: [],
  },
  mode: 'continue',
  numbers: {
    called: {
      allowed_prefixes: [],
      denied_prefixes: [],
      max_length: null,
      min_length: null,
    },
    caller: {
      allowed_prefixes: [],
      denied_prefixes: [],
      max_length: null,
      min_length: null,
    },
  },
  prefixes: [],
  protected: false,
  reserved_lines: 0,
  scheduled_rewrites: [],
  weight: 1,
};
