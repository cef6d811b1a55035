{{- define "supabase-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "supabase-operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "supabase-operator.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "supabase-operator.name" .) | trunc 63 | trimSuffix "-" }}
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
app.kubernetes.io/name: {{ include "supabase-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "supabase-operator.labels" -}}
{{ include "supabase-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: supabase
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
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
{{- dict "list" (default (list .Release.Namespace) .Values.watchNamespaces | uniq | sortAlpha) | toJson }}
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
{{- end }}
{{- end }}

{{/* Whether the operator may list and watch Secrets. */}}
{{- define "supabase-operator.secretsWatch" -}}
{{- or (eq .Values.scope "namespaced") .Values.secrets.watch }}
{{- end }}
