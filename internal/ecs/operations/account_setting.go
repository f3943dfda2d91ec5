package operations

import (
	"context"
	"iter"
	"regexp"
	"slices"
	"strings"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/wire"
)

func (s *Service) accountSettingHandlers() []wire.Handler {
	return []wire.Handler{
		wire.Handle(ecsapi.PutAccountSetting, s.PutAccountSetting),
		wire.Handle(ecsapi.PutAccountSettingDefault, s.PutAccountSettingDefault),
		wire.Handle(ecsapi.DeleteAccountSetting, s.DeleteAccountSetting),
		wire.Handle(ecsapi.ListAccountSettings, s.ListAccountSettings),
	}
}

// accountSetting describes one setting: its values, the first being the default.
type accountSetting struct {
	name   string
	values []string
	// fixed says that the setting can't be changed, and why.
	fixed string
}

const longARNs = "Long ARNs are the only format, and can't be opted out of"

// accountSettings are all settings, sorted by name (ecs-semantics 13).
var accountSettings = []accountSetting{
	{name: "awsvpcTrunking", values: []string{"disabled", "enabled"}},
	{name: "containerInsights", values: []string{"disabled", "enabled", "enhanced"}},
	{name: "containerInstanceLongArnFormat", values: []string{"enabled", "disabled"}, fixed: longARNs},
	{name: "defaultLogDriverMode", values: []string{"non-blocking", "blocking"}},
	{name: "dualStackIPv6", values: []string{"enabled", "disabled"}},
	{name: "fargateEventWindows", values: []string{"disabled", "enabled"}},
	{name: "fargateFIPSMode", values: []string{"disabled", "enabled"}},
	{name: "fargateTaskRetirementWaitPeriod", values: []string{"7", "0", "14"}},
	{name: "guardDutyActivate", values: []string{"off", "on"}, fixed: "It is read-only, and managed by the security service"},
	{name: "serviceLongArnFormat", values: []string{"enabled", "disabled"}, fixed: longARNs},
	{name: "tagResourceAuthorization", values: []string{"on", "off"}},
	{name: "taskLongArnFormat", values: []string{"enabled", "disabled"}, fixed: longARNs},
}

// findSetting returns the setting called name; model validation has refused names that AWS doesn't know.
func findSetting(name string) (accountSetting, error) {
	i := slices.IndexFunc(accountSettings, func(a accountSetting) bool { return a.name == name })
	if i < 0 {
		names := make([]string, len(accountSettings))
		for i, a := range accountSettings {
			names[i] = a.name
		}
		return accountSetting{}, fault.InvalidParameter("%s should be one of [%s]", name, strings.Join(names, ","))
	}
	return accountSettings[i], nil
}

// accept checks a value. A value that the setting has anyway is accepted even where it can't be changed, so that scripts
// which make sure of it go on working.
func (a accountSetting) accept(value string) error {
	if !slices.Contains(a.values, value) {
		return fault.InvalidParameter("Value for %s should be one of [%s]", a.name, strings.Join(a.values, ","))
	}
	if a.fixed != "" && value != a.values[0] {
		return fault.InvalidParameter("The account setting %s can't be changed to %s. %s.", a.name, value, a.fixed)
	}
	return nil
}

var (
	assumedRolePattern = regexp.MustCompile(`^arn:([a-z-]+):sts::(\d{12}):assumed-role/([^/]+)/`)
	principalPattern   = regexp.MustCompile(`^arn:[a-z-]+:iam::(\d{12}):(root|user/.+|role/.+)$`)
)

// principal is who a setting is for: the one that the request names, or whoever signed it. A session of a role stands
// for the role. The root user's settings are the account's defaults.
func (s *Service) principal(ctx context.Context, given *string) (string, error) {
	if given == nil || *given == "" {
		caller := wire.CallerOf(ctx).ARN
		if m := assumedRolePattern.FindStringSubmatch(caller); m != nil {
			return "arn:" + m[1] + ":iam::" + m[2] + ":role/" + m[3], nil
		}
		if caller == "" {
			return s.Scope.Root(), nil
		}
		return caller, nil
	}
	m := principalPattern.FindStringSubmatch(*given)
	if m == nil || m[1] != s.Scope.Account {
		return "", fault.InvalidParameter("The principal ARN '%s' is invalid. Specify the ARN of a user, a role or the root user of the account and try again.", *given)
	}
	return *given, nil
}

// effective is the value of a setting that counts for a principal: its own, else the account's default (the root
// user's), else the system's.
func (s *Service) effective(r store.Reader, principal string, a accountSetting) *ecs.AccountSetting {
	for _, p := range []string{principal, s.Scope.Root()} {
		if set, ok := state.AccountSettings.Get(r, settingKey(p, a.name)); ok {
			return set
		}
	}
	return &ecs.AccountSetting{Name: a.name, Value: a.values[0], Principal: s.Scope.Root()}
}

func settingKey(principal, name string) string { return principal + "|" + name }

func renderSetting(a *ecs.AccountSetting) ecsapi.Setting {
	typ := ecsapi.SettingTypeUser
	if a.Name == "guardDutyActivate" {
		typ = ecsapi.SettingTypeAwsManaged
	}
	return ecsapi.Setting{Name: &a.Name, Value: &a.Value, PrincipalArn: &a.Principal, Type: &typ}
}

// PutAccountSetting makes a setting for a principal.
func (s *Service) PutAccountSetting(ctx context.Context, in *ecsapi.PutAccountSettingInput) (*ecsapi.PutAccountSettingOutput, error) {
	principal, err := s.principal(ctx, in.PrincipalArn)
	if err != nil {
		return nil, err
	}
	set, err := s.putSetting(ctx, principal, deref(in.Name), deref(in.Value))
	if err != nil {
		return nil, err
	}
	return &ecsapi.PutAccountSettingOutput{Setting: set}, nil
}

// PutAccountSettingDefault makes a setting for everybody in the account who has none of their own.
func (s *Service) PutAccountSettingDefault(ctx context.Context, in *ecsapi.PutAccountSettingDefaultInput) (*ecsapi.PutAccountSettingDefaultOutput, error) {
	set, err := s.putSetting(ctx, s.Scope.Root(), deref(in.Name), deref(in.Value))
	if err != nil {
		return nil, err
	}
	return &ecsapi.PutAccountSettingDefaultOutput{Setting: set}, nil
}

func (s *Service) putSetting(ctx context.Context, principal, name, value string) (*ecsapi.Setting, error) {
	a, err := findSetting(name)
	if err != nil {
		return nil, err
	}
	if err := a.accept(value); err != nil {
		return nil, err
	}
	set := &ecs.AccountSetting{Name: name, Value: value, Principal: principal}
	_, err = s.Store.Update(ctx, func(tx *store.Tx) error {
		state.AccountSettings.Put(tx, set)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ptr(renderSetting(set)), nil
}

// DeleteAccountSetting takes a principal's own setting away; what counts afterwards is the default. The answer is the
// setting that was deleted or, when there was none, the one that counts.
func (s *Service) DeleteAccountSetting(ctx context.Context, in *ecsapi.DeleteAccountSettingInput) (*ecsapi.DeleteAccountSettingOutput, error) {
	principal, err := s.principal(ctx, in.PrincipalArn)
	if err != nil {
		return nil, err
	}
	a, err := findSetting(deref(in.Name))
	if err != nil {
		return nil, err
	}
	var out *ecsapi.DeleteAccountSettingOutput
	_, err = s.Store.Update(ctx, func(tx *store.Tx) error {
		set, ok := state.AccountSettings.Get(tx, settingKey(principal, a.name))
		if !ok {
			set = s.effective(tx, principal, a)
		}
		out = &ecsapi.DeleteAccountSettingOutput{Setting: ptr(renderSetting(set))}
		state.AccountSettings.Delete(tx, settingKey(principal, a.name))
		return nil
	})
	return out, err
}

// ListAccountSettings answers a principal's own settings or, with effectiveSettings, all settings with the values that
// count for the principal.
func (s *Service) ListAccountSettings(ctx context.Context, in *ecsapi.ListAccountSettingsInput) (*ecsapi.ListAccountSettingsOutput, error) {
	principal, err := s.principal(ctx, in.PrincipalArn)
	if err != nil {
		return nil, err
	}
	if in.Name != nil {
		a, err := findSetting(*in.Name)
		if err != nil {
			return nil, err
		}
		if in.Value != nil && !slices.Contains(a.values, *in.Value) {
			return nil, fault.InvalidParameter("Value for %s should be one of [%s]", a.name, strings.Join(a.values, ","))
		}
	} else if in.Value != nil {
		return nil, fault.InvalidParameter("When a value is specified, the name of an account setting must be specified too.")
	}
	out := &ecsapi.ListAccountSettingsOutput{}
	return out, s.Store.View(func(r store.Reader) error {
		out.Settings, out.NextToken, err = page(in.NextToken, in.MaxResults, 100, 100, func(after string) iter.Seq2[string, ecsapi.Setting] {
			return func(yield func(string, ecsapi.Setting) bool) {
				for _, a := range accountSettings {
					if a.name <= after || in.Name != nil && *in.Name != a.name {
						continue
					}
					set, ok := state.AccountSettings.Get(r, settingKey(principal, a.name))
					if deref(in.EffectiveSettings) {
						set, ok = s.effective(r, principal, a), true
					}
					if !ok || in.Value != nil && *in.Value != set.Value {
						continue
					}
					if !yield(a.name, renderSetting(set)) {
						return
					}
				}
			}
		})
		return err
	})
}
