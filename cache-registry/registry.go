package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// The part of the OCI distribution protocol that Kaniko's client speaks (github.com/opencontainers/distribution-spec),
// for one repository and its variants, and one path more: /driver/story. Kaniko's keys leave out flags that shape
// layers; builds with such flags get a variant from the driver's wrapper (executor/pod/shell/executor).

var (
	digestForm  = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	keyForm     = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	variantForm = regexp.MustCompile(`^[0-9a-f]{16}$`)
)

// Uploads that wait for their next request. A client that was killed never sends it, and must not block later ones.
const mostUploads = 64

// Registry answers requests.
type Registry struct {
	cache  *Cache
	budget *Budget

	mu      sync.Mutex
	uploads map[string]*Draft
}

func newRegistry(cache *Cache, budget *Budget) *Registry {
	return &Registry{cache: cache, budget: budget, uploads: map[string]*Draft{}}
}

func (r *Registry) routes(repository string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v2/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
	})
	// Starts anew with every answer: a script is told of its own builds.
	mux.HandleFunc("GET /driver/story", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, r.cache.story.Take(r.budget.TakeWaited()))
	})
	for _, base := range []string{"/v2/" + repository, "/v2/" + repository + "/{variant}"} {
		mux.HandleFunc("GET "+base+"/manifests/{key}", r.getManifest)
		mux.HandleFunc("PUT "+base+"/manifests/{key}", r.writing(r.putManifest))
		mux.HandleFunc("GET "+base+"/blobs/{digest}", r.getBlob)
		mux.HandleFunc("POST "+base+"/blobs/uploads/{$}", r.writing(r.startUpload))
		mux.HandleFunc("PATCH "+base+"/blobs/uploads/{id}", r.writing(r.continueUpload))
		mux.HandleFunc("PUT "+base+"/blobs/uploads/{id}", r.writing(r.finishUpload))
		mux.HandleFunc("DELETE "+base+"/blobs/uploads/{id}", r.writing(r.dropUpload))
	}
	return mux
}

func (r *Registry) writing(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, request *http.Request) {
		if r.cache.settings.ReadOnly {
			refuse(w, http.StatusForbidden, "DENIED", "this job may read the layer cache and not write it")
			return
		}
		next(w, request)
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	type fault struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string][]fault{"errors": {{code, message}}})
}

// entryKey returns the name of an entry; false where the path has none that this cache takes.
func entryKey(request *http.Request) (string, bool) {
	key, variant := request.PathValue("key"), request.PathValue("variant")
	if variant == "" {
		return key, keyForm.MatchString(key)
	}
	return variant + "." + key, variantForm.MatchString(variant) && keyForm.MatchString(key)
}

func (r *Registry) getManifest(w http.ResponseWriter, request *http.Request) {
	key, fits := entryKey(request)
	if !fits {
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "there are entries by key only")
		return
	}
	entry := r.cache.Known(key)
	var err error
	if request.Method == http.MethodGet {
		entry, err = r.cache.LookUp(request.Context(), key)
	}
	// Before a push the client asks by HEAD. An entry that nobody has looked at is no reason not to write it again.
	if err != nil || entry == nil {
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "not in the layer cache")
		return
	}
	w.Header().Set("Content-Type", entry.MediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(entry.Manifest)))
	w.Header().Set("Docker-Content-Digest", digestOf(entry.Manifest))
	w.Write(entry.Manifest)
}

func (r *Registry) putManifest(w http.ResponseWriter, request *http.Request) {
	key, fits := entryKey(request)
	manifest, err := io.ReadAll(http.MaxBytesReader(w, request.Body, mostManifest))
	if err != nil || !fits {
		refuse(w, http.StatusBadRequest, "MANIFEST_INVALID", "no manifest that this cache takes")
		return
	}
	switch err := r.cache.AddEntry(request.Context(), key, request.Header.Get("Content-Type"), manifest); {
	case errors.Is(err, errUnknownBlob):
		refuse(w, http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN", err.Error())
	case err != nil:
		refuse(w, http.StatusBadRequest, "MANIFEST_INVALID", err.Error())
	default:
		w.Header().Set("Docker-Content-Digest", digestOf(manifest))
		w.Header().Set("Location", request.URL.Path)
		w.WriteHeader(http.StatusCreated)
	}
}

func (r *Registry) getBlob(w http.ResponseWriter, request *http.Request) {
	digest := request.PathValue("digest")
	if !digestForm.MatchString(digest) {
		refuse(w, http.StatusBadRequest, "DIGEST_INVALID", "no SHA-256 digest")
		return
	}
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Content-Type", "application/octet-stream")
	if request.Method == http.MethodHead {
		if !r.cache.HasBlob(request.Context(), digest) {
			refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "not in the layer cache")
		}
		return
	}
	if content := r.cache.Small(digest); content != nil {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		w.Write(content)
		return
	}
	body, size, err := r.cache.Large(request.Context(), digest)
	if err != nil {
		refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "not in the layer cache")
		return
	}
	defer body.Close()
	if size >= 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	}
	if _, err := io.Copy(w, body); err != nil {
		// Half a blob must not look like a whole one.
		panic(http.ErrAbortHandler)
	}
}

// A request to mount a blob from elsewhere is answered as any other: there is no elsewhere.
func (r *Registry) startUpload(w http.ResponseWriter, request *http.Request) {
	draft, err := r.cache.spool.Draft()
	if err != nil {
		refuse(w, http.StatusInsufficientStorage, "UNKNOWN", "the cache's own disk is full")
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.uploads) >= mostUploads {
		r.dropOldest()
	}
	name := make([]byte, 8)
	rand.Read(name)
	id := hex.EncodeToString(name)
	r.uploads[id] = draft
	w.Header().Set("Location", request.URL.Path+id)
	w.Header().Set("Docker-Upload-UUID", id)
	w.Header().Set("Range", "0-0")
	w.WriteHeader(http.StatusAccepted)
}

func (r *Registry) dropOldest() {
	oldest := ""
	for id, draft := range r.uploads {
		if oldest == "" || draft.number < r.uploads[oldest].number {
			oldest = id
		}
	}
	r.uploads[oldest].Drop()
	delete(r.uploads, oldest)
}

// take gives a draft to one request alone.
func (r *Registry) take(w http.ResponseWriter, request *http.Request) *Draft {
	r.mu.Lock()
	defer r.mu.Unlock()
	draft := r.uploads[request.PathValue("id")]
	if draft == nil {
		refuse(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "no such upload")
		return nil
	}
	delete(r.uploads, request.PathValue("id"))
	return draft
}

func (r *Registry) receive(w http.ResponseWriter, request *http.Request, draft *Draft) bool {
	if _, err := io.Copy(draft, request.Body); err != nil {
		draft.Drop()
		if errors.Is(err, errSpoolFull) || errors.Is(err, syscall.ENOSPC) {
			r.cache.story.full.Add(1)
			refuse(w, http.StatusRequestEntityTooLarge, "SIZE_INVALID", "larger than what the cache's spool has room for")
			return false
		}
		refuse(w, http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "the upload ended early")
		return false
	}
	return true
}

func (r *Registry) continueUpload(w http.ResponseWriter, request *http.Request) {
	draft := r.take(w, request)
	if draft == nil || !r.receive(w, request, draft) {
		return
	}
	r.mu.Lock()
	r.uploads[request.PathValue("id")] = draft
	r.mu.Unlock()
	w.Header().Set("Location", request.URL.Path)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(draft.size-1, 0)))
	w.WriteHeader(http.StatusAccepted)
}

func (r *Registry) finishUpload(w http.ResponseWriter, request *http.Request) {
	draft := r.take(w, request)
	if draft == nil || !r.receive(w, request, draft) {
		return
	}
	defer draft.Drop()
	digest := request.URL.Query().Get("digest")
	if !digestForm.MatchString(digest) {
		refuse(w, http.StatusBadRequest, "DIGEST_INVALID", "no SHA-256 digest")
		return
	}
	if err := r.cache.AddBlob(request.Context(), digest, draft); err != nil {
		refuse(w, http.StatusBadRequest, "DIGEST_INVALID", err.Error())
		return
	}
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Location", strings.TrimSuffix(request.URL.Path, "uploads/"+request.PathValue("id"))+digest)
	w.WriteHeader(http.StatusCreated)
}

func (r *Registry) dropUpload(w http.ResponseWriter, request *http.Request) {
	if draft := r.take(w, request); draft != nil {
		draft.Drop()
		w.WriteHeader(http.StatusNoContent)
	}
}
