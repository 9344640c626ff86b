package embedded

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/sr"
)

// setting reads what srfake keeps for a subject, "" for the registry itself.
func (s *registryState) setting(path, subject string, inherit bool) (value string, ok bool) {
	if subject != "" {
		path += "/" + url.PathEscape(subject) + "?defaultToGlobal=" + strconv.FormatBool(inherit)
	}
	status, body := s.ask(http.MethodGet, path, nil)
	var answer struct{ CompatibilityLevel, Mode string }
	if status != http.StatusOK || json.Unmarshal(body, &answer) != nil {
		return "", false
	}
	return answer.CompatibilityLevel + answer.Mode, true
}

func (s *registryState) effectiveLevel(subject string) sr.CompatibilityLevel {
	var level sr.CompatibilityLevel
	text, ok := s.setting("/config", subject, true)
	if !ok || level.UnmarshalText([]byte(text)) != nil {
		return sr.CompatFullTransitive // the strictest
	}
	return level
}

func (s *registryState) effectiveMode(subject string) sr.Mode {
	var mode sr.Mode
	text, ok := s.setting("/mode", subject, true)
	if !ok || mode.UnmarshalText([]byte(text)) != nil {
		return sr.ModeReadOnly // the strictest
	}
	return mode
}

func inherits(req *http.Request) bool { return req.URL.Query().Get("defaultToGlobal") == "true" }

func (s *registryState) level(req *http.Request) (any, error) {
	subject := req.PathValue("subject")
	level, ok := s.setting("/config", subject, inherits(req))
	if !ok {
		return nil, notFound(sr.ErrSubjectLevelCompatibilityNotConfigured,
			"Subject '%s' does not have subject-level compatibility configured", subject)
	}
	return map[string]string{"compatibilityLevel": level}, nil
}

func (s *registryState) setLevel(req *http.Request) (any, error) {
	var body struct {
		Compatibility string `json:"compatibility"`
	}
	var level sr.CompatibilityLevel
	if readJSON(req, &body) != nil || level.UnmarshalText([]byte(body.Compatibility)) != nil {
		return nil, unprocessable(sr.ErrInvalidCompatibilityLevel,
			"Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive")
	}
	subject, err := settingSubject(req)
	if err != nil {
		return nil, err
	}
	if err := s.commit(&change{Op: opCompatibility, Subject: subject, Value: level.String()}); err != nil {
		return nil, err
	}
	return map[string]string{"compatibility": level.String()}, nil
}

// settingSubject is the subject that a setting is for, "" for the registry.
func settingSubject(req *http.Request) (string, error) {
	subject := req.PathValue("subject")
	if subject == "" {
		return "", nil
	}
	return subject, checkSubject(subject)
}

func (s *registryState) resetLevel(req *http.Request) (any, error) {
	subject := req.PathValue("subject")
	was, ok := s.setting("/config", subject, false)
	if !ok {
		return nil, errNoSubject(subject)
	}
	c := change{Op: opCompatibility, Subject: subject}
	if subject == "" {
		c.Value = sr.CompatFullTransitive.String() // srfake cannot remove it
	}
	if err := s.commit(&c); err != nil {
		return nil, err
	}
	return map[string]string{"compatibilityLevel": was}, nil
}

func (s *registryState) mode(req *http.Request) (any, error) {
	subject := req.PathValue("subject")
	mode, ok := s.setting("/mode", subject, inherits(req))
	if !ok {
		return nil, notFound(sr.ErrSubjectLevelModeNotConfigured,
			"Subject '%s' does not have subject-level mode configured", subject)
	}
	return map[string]string{"mode": mode}, nil
}

func (s *registryState) setMode(req *http.Request) (any, error) {
	var body struct {
		Mode string `json:"mode"`
	}
	var mode sr.Mode
	if readJSON(req, &body) != nil || mode.UnmarshalText([]byte(body.Mode)) != nil {
		return nil, unprocessable(sr.ErrInvalidMode, "Invalid mode. Valid values are READWRITE and READONLY")
	}
	if mode == sr.ModeImport {
		return nil, unprocessable(sr.ErrOperationNotPermitted, "This registry gives ids and versions itself: it has no IMPORT mode")
	}
	subject, err := settingSubject(req)
	if err != nil {
		return nil, err
	}
	if err := s.commit(&change{Op: opMode, Subject: subject, Value: mode.String()}); err != nil {
		return nil, err
	}
	return map[string]string{"mode": mode.String()}, nil
}

func (s *registryState) resetMode(req *http.Request) (any, error) {
	subject := req.PathValue("subject")
	was, ok := s.setting("/mode", subject, false)
	if !ok {
		return nil, errNoSubject(subject)
	}
	if err := s.commit(&change{Op: opMode, Subject: subject}); err != nil {
		return nil, err
	}
	return map[string]string{"mode": was}, nil
}

// deleteSubject deletes a subject's versions, so that they are not found by
// name; permanently only what was deleted so before.
func (s *registryState) deleteSubject(req *http.Request) (any, error) {
	subject := req.PathValue("subject")
	permanent := req.URL.Query().Get("permanent") == "true"
	live, known := s.versions(subject, active), s.versions(subject, all)
	switch {
	case len(known) == 0:
		return nil, errNoSubject(subject)
	case permanent && len(live) > 0:
		return nil, notFound(sr.ErrSubjectNotSoftDeleted, "Subject '%s' was not deleted first before being permanently deleted", subject)
	case !permanent && len(live) == 0:
		return nil, notFound(sr.ErrSubjectSoftDeleted, "Subject '%s' was soft deleted. Set permanent=true to delete permanently", subject)
	}
	gone := live
	if permanent {
		gone = known
	}
	if err := s.deletable(subject, gone); err != nil {
		return nil, err
	}
	if err := s.commit(&change{Op: opDelete, Subject: subject, Permanent: permanent}); err != nil {
		return nil, err
	}
	return gone, nil
}

func (s *registryState) deleteVersion(req *http.Request) (any, error) {
	subject := req.PathValue("subject")
	permanent := req.URL.Query().Get("permanent") == "true"
	n, err := s.pickVersion(subject, req.PathValue("version"), all)
	if err != nil {
		return nil, err
	}
	live := slices.Contains(s.versions(subject, active), n)
	switch {
	case permanent && live:
		return nil, notFound(sr.ErrSchemaVersionNotSoftDeleted, "Subject '%s' Version %d was not deleted first before being permanently deleted", subject, n)
	case !permanent && !live:
		return nil, notFound(sr.ErrSchemaVersionSoftDeleted, "Subject '%s' Version %d was soft deleted. Set permanent=true to delete permanently", subject, n)
	}
	if err := s.deletable(subject, []int{n}); err != nil {
		return nil, err
	}
	if err := s.commit(&change{Op: opDelete, Subject: subject, Version: n, Permanent: permanent}); err != nil {
		return nil, err
	}
	return n, nil
}

// deletable checks modes and that no schema refers to the versions.
func (s *registryState) deletable(subject string, versions []int) error {
	if mode := s.effectiveMode(subject); mode != sr.ModeReadWrite {
		return unprocessable(sr.ErrOperationNotPermitted, "Subject %s is in %s mode", subject, mode)
	}
	for _, n := range versions {
		var by []int
		_, body := s.ask(http.MethodGet, "/subjects/"+url.PathEscape(subject)+"/versions/"+strconv.Itoa(n)+"/referencedby", nil)
		if json.Unmarshal(body, &by) == nil && len(by) > 0 {
			return unprocessable(sr.ErrReferenceExists, "One or more references exist to the schema of subject %s, version %d", subject, n)
		}
	}
	return nil
}
