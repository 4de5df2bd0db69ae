{{/* The name of all objects: at most 63 bytes, as labels are. */}}
{{- define "varvel.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "varvel" .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-varvel" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "varvel.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "varvel.name" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* What never changes in a release: a DaemonSet's selector cannot. */}}
{{- define "varvel.selector" -}}
app.kubernetes.io/name: varvel
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "varvel.labels" -}}
{{ include "varvel.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
{{- end -}}

{{- define "varvel.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* varvel.yaml: the configuration, with the release's own files of rules after those that it names. */}}
{{- define "varvel.config" -}}
{{- $own := keys .Values.rules | sortAlpha -}}
{{- toYaml (set (deepCopy .Values.config) "rules_files" (concat .Values.config.rules_files $own)) -}}
{{- end -}}
