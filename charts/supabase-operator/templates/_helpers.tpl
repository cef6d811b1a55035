{{- define "supabase-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Names of Services may have 63 characters; the longest that is made of this one ends in "-metrics" or "-consent". */}}
{{- define "supabase-operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 55 | trimSuffix "-" }}
{{- else if contains (include "supabase-operator.name" .) .Release.Name }}
{{- .Release.Name | trunc 55 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "supabase-operator.name" .) | trunc 55 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "supabase-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "supabase-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name must name an existing ServiceAccount when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "supabase-operator.leaseName" -}}
{{- default (include "supabase-operator.fullname" .) .Values.leaderElection.leaseName }}
{{- end }}

{{- define "supabase-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "supabase-operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/*
Labels of everything. Those of commonLabels win, but for the ones that selectors and Helm look at. One map, so that no key
is there twice: strict readers of YAML refuse that.
*/}}
{{- define "supabase-operator.labels" -}}
{{- $fixed := include "supabase-operator.selectorLabels" . | fromYaml }}
{{- $fixed = set $fixed "app.kubernetes.io/managed-by" .Release.Service }}
{{- $usual := dict
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/part-of" "supabase"
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_")
}}
{{- merge $fixed .Values.commonLabels $usual | toYaml }}
{{- end }}

{{/* The namespace of everything that has one. */}}
{{- define "supabase-operator.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "supabase-operator.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* The namespaces of scope "namespaced", as a JSON list under "list"; empty in scope "cluster". */}}
{{- define "supabase-operator.watchNamespaces" -}}
{{- if eq .Values.scope "namespaced" }}
{{- dict "list" (default (list (include "supabase-operator.namespace" .)) .Values.watchNamespaces | uniq | sortAlpha) | toJson }}
{{- else if .Values.watchNamespaces }}
{{- fail "watchNamespaces needs scope: namespaced; with scope: cluster every namespace is served" }}
{{- else }}
{{- dict "list" list | toJson }}
{{- end }}
{{- end }}

{{/* The external address of the consent pages; empty where there are none. */}}
{{- define "supabase-operator.consentURL" -}}
{{- if .Values.consent.enabled }}
{{- required "consent.enabled needs consent.url, the external https address of the pages" .Values.consent.url | trimSuffix "/" }}
{{- else if .Values.consent.ingress.enabled }}
{{- fail "consent.ingress.enabled needs consent.enabled" }}
{{- else if (.Values.consent.httpRoute).enabled }}
{{- fail "consent.httpRoute.enabled needs consent.enabled" }}
{{- end }}
{{- end }}

{{/*
The host and the path of the consent pages, for an Ingress or a route: as JSON under "host" and "path". The operator serves
its pages below the same path.
*/}}
{{- define "supabase-operator.consentPlace" -}}
{{- $url := urlParse (include "supabase-operator.consentURL" .) }}
{{- dict "host" (regexReplaceAll ":[0-9]+$" $url.host "") "path" (default "/" $url.path) | toJson }}
{{- end }}

{{/* The port of an address: the one that it names, or the usual one of its scheme. */}}
{{- define "supabase-operator.port" -}}
{{- $url := urlParse . }}
{{- regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) | default (ternary "80" "443" (eq $url.scheme "http")) }}
{{- end }}

{{/* The volume of a file with certificates, as JSON; an empty object where no source is named. Takes the value (source), its name in values (value) and the volume's (volume). */}}
{{- define "supabase-operator.certificateVolume" -}}
{{- $volume := .volume }}
{{- $value := .value }}
{{- with (default dict .source) }}
{{- $items := list (dict "key" .key "path" "ca.crt") }}
{{- if and .configMapName .secretName }}
{{- fail (printf "%s takes configMapName or secretName, not both" $value) }}
{{- else if .configMapName }}
{{- dict "name" $volume "configMap" (dict "name" .configMapName "items" $items) | toJson }}
{{- else if .secretName }}
{{- dict "name" $volume "secret" (dict "secretName" .secretName "items" $items) | toJson }}
{{- else }}
{{- dict | toJson }}
{{- end }}
{{- else }}
{{- dict | toJson }}
{{- end }}
{{- end }}

{{/* Whether the operator may list and watch Secrets. */}}
{{- define "supabase-operator.secretsWatch" -}}
{{- or (eq .Values.scope "namespaced") .Values.secrets.watch }}
{{- end }}
