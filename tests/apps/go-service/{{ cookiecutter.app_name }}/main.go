package main

import (
	"encoding/json"
	"net/http"
	"os"
)

func caller(w http.ResponseWriter, r *http.Request) {
	identity := r.Header.Get("X-Client-Identity")
	if identity == "" {
		http.Error(w, "it did not come through the front", http.StatusForbidden)
		return
	}
	json.NewEncoder(w).Encode(map[string]string{"app": "{{ cookiecutter.app_name }}", "caller": identity})
}

func main() {
	http.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusOK) })
	http.HandleFunc("/", caller)
	if err := http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil); err != nil {
		panic(err)
	}
}
