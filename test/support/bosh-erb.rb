# Renders the templates of a BOSH job as a director does, from what its documentation says of templates: Ruby's ERB with
# trim mode "-", and p, if_p … else, name, index and spec in it. A template sees the properties that the job's spec
# declares, with its defaults, and no others.
#   ruby bosh-erb.rb JOB_FOLDER < {"properties": {…}}   → {"files": {…}, "asked": […]} or {"error": "…"}
require 'erb'
require 'json'
require 'ostruct'
require 'yaml'

class Job
  attr_reader :name, :index, :spec, :asked

  def initialize(name, properties)
    @name = name
    @index = 0
    @spec = OpenStruct.new(id: 'b2a1ba22-6a67-4d55-a0a1-4f4c8c1ae4a5', deployment: 'cf', az: 'z1', index: 0)
    @properties = properties
    @asked = []
  end

  def p(names, *default)
    found = Array(names).map { |name| look_up(name) }.find { |value| !value.nil? }
    return found unless found.nil?
    return default.first unless default.empty?

    raise "Can't find property '#{Array(names).join("', or '")}'"
  end

  def if_p(*names)
    values = names.map { |name| look_up(name) }
    if values.include?(nil)
      Else.new(true)
    else
      yield(*values)
      Else.new(false)
    end
  end

  Else = Struct.new(:active) do
    def else
      yield if active
    end
  end

  def get_binding = binding

  private

  def look_up(name)
    @asked << name
    name.split('.').reduce(@properties) { |at, key| at.is_a?(Hash) ? at[key] : nil }
  end
end

def declared_only(declared, given)
  declared.each_with_object({}) do |(name, about), all|
    *sections, key = name.split('.')
    value = name.split('.').reduce(given) { |at, part| at.is_a?(Hash) ? at[part] : nil }
    value = about['default'] if value.nil?
    sections.reduce(all) { |at, part| at[part] ||= {} }[key] = value
  end
end

folder = ARGV.fetch(0)
spec = YAML.safe_load_file(File.join(folder, 'spec'))
job = Job.new(spec['name'], declared_only(spec['properties'], JSON.parse($stdin.read)['properties']))
begin
  files = spec['templates'].to_h do |source, target|
    erb = ERB.new(File.read(File.join(folder, 'templates', source)), trim_mode: '-')
    erb.filename = source
    [target, erb.result(job.get_binding)]
  end
  puts JSON.generate('files' => files, 'asked' => job.asked.uniq)
rescue StandardError => e
  puts JSON.generate('error' => e.message)
end
