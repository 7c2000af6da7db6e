package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Settings are the one JSON document in the variable LAYER_CACHE; the driver makes it (executor/cache/registry.py).
// Keys are not among them: they come the AWS ways (environment, web identity, container credentials).
type Settings struct {
	// Listen is host and port; the host must be a loopback address.
	Listen string `json:"listen"`

	Bucket    string `json:"bucket"`
	Region    string `json:"region"`
	Endpoint  string `json:"endpoint"`
	PathStyle bool   `json:"path_style"`
	// CA is PEM text of authorities that are trusted beside the system's.
	CA string `json:"ca"`

	// Prefix is the path in the bucket above the generations, written and read.
	Prefix string `json:"prefix"`
	// AlsoRead is a second such path that is only read, after Prefix; empty: none.
	AlsoRead string `json:"also_read"`
	// GenerationSeconds is the length of a generation, StaggerSeconds moves its borders.
	GenerationSeconds int64 `json:"generation_seconds"`
	StaggerSeconds    int64 `json:"stagger_seconds"`
	// ReadOnly refuses every write.
	ReadOnly bool `json:"read_only"`

	// Spool is a folder of our own that may hold SpoolBytes.
	Spool      string `json:"spool"`
	SpoolBytes int64  `json:"spool_bytes"`
	// PatienceSeconds is how long S3 may be slower than it should be, over all requests together.
	PatienceSeconds int64 `json:"patience_seconds"`

	// Pulse is a folder whose time stamp says that the pod is in use; IdleSeconds without it are the end.
	Pulse       string `json:"pulse"`
	IdleSeconds int64  `json:"idle_seconds"`
}

func parseSettings(text string) (Settings, error) {
	var settings Settings
	decoder := json.NewDecoder(strings.NewReader(text))
	// A registry and a driver of different versions must not misunderstand each other silently.
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&settings); err != nil {
		return settings, fmt.Errorf("LAYER_CACHE is not what this cache registry reads: %w", err)
	}
	switch {
	case !strings.HasPrefix(settings.Listen, "127.0.0.1:") && !strings.HasPrefix(settings.Listen, "[::1]:"):
		return settings, fmt.Errorf("listen must be a loopback address, not %q", settings.Listen)
	case settings.Bucket == "" || settings.Prefix == "":
		return settings, errors.New("bucket and prefix must be set")
	case settings.GenerationSeconds <= 0 || settings.SpoolBytes <= 0 || settings.PatienceSeconds <= 0:
		return settings, errors.New("generation_seconds, spool_bytes and patience_seconds must be positive")
	case settings.Spool == "":
		return settings, errors.New("spool must be a folder")
	}
	return settings, nil
}

// generation is the number of the time slice at a time; executor/cache/generation.py computes the same.
func (s Settings) generation(now time.Time) int64 {
	return (now.Unix() + s.StaggerSeconds) / s.GenerationSeconds
}
